import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);
var __create = Object.create;
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getProtoOf = Object.getPrototypeOf;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __commonJS = (cb, mod) => function __require() {
  try {
    return mod || (0, cb[__getOwnPropNames(cb)[0]])((mod = { exports: {} }).exports, mod), mod.exports;
  } catch (e) {
    throw mod = 0, e;
  }
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toESM = (mod, isNodeMode, target) => (target = mod != null ? __create(__getProtoOf(mod)) : {}, __copyProps(
  // If the importer is in node compatibility mode or this is not an ESM
  // file that has been converted to a CommonJS file using a Babel-
  // compatible transform (i.e. "__esModule" has not been set), then set
  // "default" to the CommonJS "module.exports" for node compatibility.
  isNodeMode || !mod || !mod.__esModule ? __defProp(target, "default", { value: mod, enumerable: true }) : target,
  mod
));

// node_modules/abort-controller-x/lib/AbortError.js
var require_AbortError = __commonJS({
  "node_modules/abort-controller-x/lib/AbortError.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.catchAbortError = exports.rethrowAbortError = exports.throwIfAborted = exports.isAbortError = exports.AbortError = void 0;
    var AbortError3 = class {
      constructor(message = "The operation has been aborted", captureStackTrace = true) {
        this.message = message;
        this.name = "AbortError";
        this.stack = "";
        if (captureStackTrace) {
          Error.captureStackTrace?.(this, this.constructor);
        }
        Object.setPrototypeOf(this, Error.prototype);
      }
      static [Symbol.hasInstance](instance) {
        return isAbortError(instance);
      }
    };
    exports.AbortError = AbortError3;
    function isAbortError(error) {
      return typeof error === "object" && error !== null && error.name === "AbortError";
    }
    exports.isAbortError = isAbortError;
    function throwIfAborted(signal) {
      if (signal.aborted) {
        throw new AbortError3();
      }
    }
    exports.throwIfAborted = throwIfAborted;
    function rethrowAbortError(error) {
      if (isAbortError(error)) {
        throw error;
      }
      return;
    }
    exports.rethrowAbortError = rethrowAbortError;
    function catchAbortError(error) {
      if (isAbortError(error)) {
        return;
      }
      throw error;
    }
    exports.catchAbortError = catchAbortError;
  }
});

// node_modules/abort-controller-x/lib/execute.js
var require_execute = __commonJS({
  "node_modules/abort-controller-x/lib/execute.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.execute = void 0;
    var AbortError_1 = require_AbortError();
    function execute2(signal, executor) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason ?? new AbortError_1.AbortError());
          return;
        }
        let removeAbortListener;
        let finished2 = false;
        function finish2() {
          if (!finished2) {
            finished2 = true;
            if (removeAbortListener != null) {
              removeAbortListener();
            }
          }
        }
        const callback = executor((value) => {
          resolve(value);
          finish2();
        }, (reason) => {
          reject(reason);
          finish2();
        });
        if (!finished2) {
          const abortListener = () => {
            const callbackResult = callback(signal.reason);
            if (callbackResult == null) {
              reject(signal.reason ?? new AbortError_1.AbortError());
            } else {
              callbackResult.then(() => {
                reject(signal.reason ?? new AbortError_1.AbortError());
              }, (reason) => {
                reject(reason);
              });
            }
            finish2();
          };
          signal.addEventListener("abort", abortListener);
          removeAbortListener = () => {
            signal.removeEventListener("abort", abortListener);
          };
        }
      });
    }
    exports.execute = execute2;
  }
});

// node_modules/abort-controller-x/lib/abortable.js
var require_abortable = __commonJS({
  "node_modules/abort-controller-x/lib/abortable.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.abortable = void 0;
    var execute_1 = require_execute();
    function abortable(signal, promise) {
      if (signal.aborted) {
        const noop = () => {
        };
        promise.then(noop, noop);
      }
      return (0, execute_1.execute)(signal, (resolve, reject) => {
        promise.then(resolve, reject);
        return () => {
        };
      });
    }
    exports.abortable = abortable;
  }
});

// node_modules/abort-controller-x/lib/delay.js
var require_delay = __commonJS({
  "node_modules/abort-controller-x/lib/delay.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.delay = void 0;
    var execute_1 = require_execute();
    function delay(signal, dueTime) {
      return (0, execute_1.execute)(signal, (resolve) => {
        const ms = typeof dueTime === "number" ? dueTime : dueTime.getTime() - Date.now();
        const timer = setTimeout(resolve, ms);
        return () => {
          clearTimeout(timer);
        };
      });
    }
    exports.delay = delay;
  }
});

// node_modules/abort-controller-x/lib/forever.js
var require_forever = __commonJS({
  "node_modules/abort-controller-x/lib/forever.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.forever = void 0;
    var execute_1 = require_execute();
    function forever(signal) {
      return (0, execute_1.execute)(signal, () => () => {
      });
    }
    exports.forever = forever;
  }
});

// node_modules/abort-controller-x/lib/waitForEvent.js
var require_waitForEvent = __commonJS({
  "node_modules/abort-controller-x/lib/waitForEvent.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.waitForEvent = void 0;
    var execute_1 = require_execute();
    function waitForEvent(signal, target, eventName, options2) {
      return (0, execute_1.execute)(signal, (resolve) => {
        let unlisten;
        let finished2 = false;
        const handler = (...args) => {
          resolve(args.length > 1 ? args : args[0]);
          finished2 = true;
          if (unlisten != null) {
            unlisten();
          }
        };
        unlisten = listen(target, eventName, handler, options2);
        if (finished2) {
          unlisten();
        }
        return () => {
          finished2 = true;
          if (unlisten != null) {
            unlisten();
          }
        };
      });
    }
    exports.waitForEvent = waitForEvent;
    function listen(target, eventName, handler, options2) {
      if (isEventTarget(target)) {
        target.addEventListener(eventName, handler, options2);
        return () => target.removeEventListener(eventName, handler, options2);
      }
      if (isJQueryStyleEventEmitter(target)) {
        target.on(eventName, handler);
        return () => target.off(eventName, handler);
      }
      if (isNodeStyleEventEmitter(target)) {
        target.addListener(eventName, handler);
        return () => target.removeListener(eventName, handler);
      }
      throw new Error("Invalid event target");
    }
    function isNodeStyleEventEmitter(sourceObj) {
      return isFunction(sourceObj.addListener) && isFunction(sourceObj.removeListener);
    }
    function isJQueryStyleEventEmitter(sourceObj) {
      return isFunction(sourceObj.on) && isFunction(sourceObj.off);
    }
    function isEventTarget(sourceObj) {
      return isFunction(sourceObj.addEventListener) && isFunction(sourceObj.removeEventListener);
    }
    var isFunction = (obj) => typeof obj === "function";
  }
});

// node_modules/abort-controller-x/lib/all.js
var require_all = __commonJS({
  "node_modules/abort-controller-x/lib/all.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.all = void 0;
    var AbortError_1 = require_AbortError();
    function all(signal, executor) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason ?? new AbortError_1.AbortError());
          return;
        }
        const innerAbortController = new AbortController();
        const promises = executor(innerAbortController.signal);
        if (promises.length === 0) {
          resolve([]);
          return;
        }
        const abortListener = () => {
          innerAbortController.abort(signal.reason ?? new AbortError_1.AbortError());
        };
        signal.addEventListener("abort", abortListener);
        let rejection;
        const results = new Array(promises.length);
        let settledCount = 0;
        function settled() {
          settledCount += 1;
          if (settledCount === promises.length) {
            signal.removeEventListener("abort", abortListener);
            if (rejection != null) {
              reject(rejection.reason);
            } else {
              resolve(results);
            }
          }
        }
        for (const [i, promise] of promises.entries()) {
          promise.then((value) => {
            results[i] = value;
            settled();
          }, (reason) => {
            innerAbortController.abort(new AbortError_1.AbortError("One of the promises passed to all() rejected", false));
            if (rejection == null || !(0, AbortError_1.isAbortError)(reason) && (0, AbortError_1.isAbortError)(rejection.reason)) {
              rejection = { reason };
            }
            settled();
          });
        }
      });
    }
    exports.all = all;
  }
});

// node_modules/abort-controller-x/lib/race.js
var require_race = __commonJS({
  "node_modules/abort-controller-x/lib/race.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.race = void 0;
    var AbortError_1 = require_AbortError();
    function race(signal, executor) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason ?? new AbortError_1.AbortError());
          return;
        }
        const innerAbortController = new AbortController();
        const promises = executor(innerAbortController.signal);
        const abortListener = () => {
          innerAbortController.abort(signal.reason ?? new AbortError_1.AbortError());
        };
        signal.addEventListener("abort", abortListener);
        let settledCount = 0;
        function settled(result2) {
          innerAbortController.abort(new AbortError_1.AbortError("One of the promises passed to race() settled", false));
          settledCount += 1;
          if (settledCount === promises.length) {
            signal.removeEventListener("abort", abortListener);
            if (result2.status === "fulfilled") {
              resolve(result2.value);
            } else {
              reject(result2.reason);
            }
          }
        }
        let result;
        for (const promise of promises) {
          promise.then((value) => {
            if (result == null) {
              result = { status: "fulfilled", value };
            }
            settled(result);
          }, (reason) => {
            if (result == null || !(0, AbortError_1.isAbortError)(reason) && (result.status === "fulfilled" || (0, AbortError_1.isAbortError)(result.reason))) {
              result = { status: "rejected", reason };
            }
            settled(result);
          });
        }
      });
    }
    exports.race = race;
  }
});

// node_modules/abort-controller-x/lib/retry.js
var require_retry = __commonJS({
  "node_modules/abort-controller-x/lib/retry.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.retry = void 0;
    var delay_1 = require_delay();
    var AbortError_1 = require_AbortError();
    async function retry(signal, fn, options2 = {}) {
      const { baseMs = 1e3, maxDelayMs = 3e4, onError: onError2, maxAttempts = Infinity } = options2;
      let attempt = 0;
      const reset = () => {
        attempt = -1;
      };
      while (true) {
        try {
          return await fn(signal, attempt, reset);
        } catch (error) {
          (0, AbortError_1.rethrowAbortError)(error);
          if (attempt >= maxAttempts) {
            throw error;
          }
          let delayMs;
          if (attempt === -1) {
            delayMs = 0;
          } else {
            const backoff = Math.min(maxDelayMs, Math.pow(2, attempt) * baseMs);
            delayMs = Math.round(backoff * (1 + Math.random()) / 2);
          }
          if (onError2) {
            onError2(error, attempt, delayMs);
          }
          if (delayMs !== 0) {
            await (0, delay_1.delay)(signal, delayMs);
          }
          attempt += 1;
        }
      }
    }
    exports.retry = retry;
  }
});

// node_modules/abort-controller-x/lib/spawn.js
var require_spawn = __commonJS({
  "node_modules/abort-controller-x/lib/spawn.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.spawn = void 0;
    var AbortError_1 = require_AbortError();
    function spawn(signal, fn) {
      if (signal.aborted) {
        return Promise.reject(new AbortError_1.AbortError());
      }
      const deferredFunctions = [];
      const spawnAbortController = new AbortController();
      const spawnSignal = spawnAbortController.signal;
      const abortListener = () => {
        spawnAbortController.abort(signal.reason ?? new AbortError_1.AbortError());
      };
      signal.addEventListener("abort", abortListener);
      const removeAbortListener = () => {
        signal.removeEventListener("abort", abortListener);
      };
      const tasks = /* @__PURE__ */ new Set();
      const abortTasks = () => {
        for (const task of tasks) {
          task.abort();
        }
      };
      spawnSignal.addEventListener("abort", abortTasks);
      const removeSpawnAbortListener = () => {
        spawnSignal.removeEventListener("abort", abortTasks);
      };
      let promise = new Promise((resolve, reject) => {
        let result;
        let failure2;
        fork((signal2) => fn(signal2, {
          defer(fn2) {
            deferredFunctions.push(fn2);
          },
          fork
        })).join().then((value) => {
          spawnAbortController.abort(new AbortError_1.AbortError("spawn() function finished", false));
          result = { value };
        }, (error) => {
          spawnAbortController.abort((0, AbortError_1.isAbortError)(error) ? error : new AbortError_1.AbortError("spawn() function threw", false));
          if (!(0, AbortError_1.isAbortError)(error) || failure2 == null) {
            failure2 = { error };
          }
        });
        function fork(forkFn) {
          if (spawnSignal.aborted) {
            return {
              abort() {
              },
              async join() {
                throw new AbortError_1.AbortError();
              }
            };
          }
          const taskAbortController = new AbortController();
          const taskSignal = taskAbortController.signal;
          const taskPromise = forkFn(taskSignal);
          const task = {
            abort() {
              taskAbortController.abort();
            },
            join: () => taskPromise
          };
          tasks.add(task);
          taskPromise.catch(AbortError_1.catchAbortError).catch((error) => {
            failure2 = { error };
            spawnAbortController.abort(new AbortError_1.AbortError("A function forked by spawn() threw", false));
          }).finally(() => {
            tasks.delete(task);
            if (tasks.size === 0) {
              if (failure2 != null) {
                reject(failure2.error);
              } else {
                resolve(result.value);
              }
            }
          });
          return task;
        }
      });
      promise = promise.finally(() => {
        removeAbortListener();
        removeSpawnAbortListener();
        let deferPromise = Promise.resolve();
        for (let i = deferredFunctions.length - 1; i >= 0; i--) {
          deferPromise = deferPromise.finally(deferredFunctions[i]);
        }
        return deferPromise;
      });
      return promise;
    }
    exports.spawn = spawn;
  }
});

// node_modules/abort-controller-x/lib/run.js
var require_run = __commonJS({
  "node_modules/abort-controller-x/lib/run.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.run = void 0;
    var AbortError_1 = require_AbortError();
    function run(fn) {
      const abortController = new AbortController();
      const promise = fn(abortController.signal).catch(AbortError_1.catchAbortError);
      return () => {
        abortController.abort();
        return promise;
      };
    }
    exports.run = run;
  }
});

// node_modules/abort-controller-x/lib/proactiveRetry.js
var require_proactiveRetry = __commonJS({
  "node_modules/abort-controller-x/lib/proactiveRetry.js"(exports) {
    "use strict";
    Object.defineProperty(exports, "__esModule", { value: true });
    exports.proactiveRetry = void 0;
    var AbortError_1 = require_AbortError();
    var delay_1 = require_delay();
    var execute_1 = require_execute();
    function proactiveRetry(signal, fn, options2 = {}) {
      const { baseMs = 1e3, onError: onError2, maxAttempts = Infinity } = options2;
      return (0, execute_1.execute)(signal, (resolve, reject) => {
        const innerAbortController = new AbortController();
        let attemptsExhausted = false;
        const promises = /* @__PURE__ */ new Map();
        function handleFulfilled(value) {
          innerAbortController.abort(new AbortError_1.AbortError("One of the proactiveRetry() attempts fulfilled", false));
          promises.clear();
          resolve(value);
        }
        function handleRejected(err, attempt) {
          promises.delete(attempt);
          if (attemptsExhausted && promises.size === 0) {
            reject(err);
            return;
          }
          if ((0, AbortError_1.isAbortError)(err)) {
            return;
          }
          if (onError2) {
            try {
              onError2(err, attempt);
            } catch (err2) {
              innerAbortController.abort(new AbortError_1.AbortError("Error was thrown from proactiveRetry() onError callback", false));
              promises.clear();
              reject(err2);
            }
          }
        }
        async function makeAttempts(signal2) {
          for (let attempt = 0; ; attempt++) {
            const promise = fn(signal2, attempt);
            promises.set(attempt, promise);
            promise.then(handleFulfilled, (err) => handleRejected(err, attempt));
            if (attempt + 1 >= maxAttempts) {
              break;
            }
            const backoff = Math.pow(2, attempt) * baseMs;
            const delayMs = Math.round(backoff * (1 + Math.random()) / 2);
            await (0, delay_1.delay)(signal2, delayMs);
          }
          attemptsExhausted = true;
        }
        makeAttempts(innerAbortController.signal).catch(AbortError_1.catchAbortError);
        return (reason) => {
          innerAbortController.abort(reason ?? new AbortError_1.AbortError());
        };
      });
    }
    exports.proactiveRetry = proactiveRetry;
  }
});

// node_modules/abort-controller-x/lib/index.js
var require_lib = __commonJS({
  "node_modules/abort-controller-x/lib/index.js"(exports) {
    "use strict";
    var __createBinding = exports && exports.__createBinding || (Object.create ? (function(o, m, k, k2) {
      if (k2 === void 0) k2 = k;
      var desc = Object.getOwnPropertyDescriptor(m, k);
      if (!desc || ("get" in desc ? !m.__esModule : desc.writable || desc.configurable)) {
        desc = { enumerable: true, get: function() {
          return m[k];
        } };
      }
      Object.defineProperty(o, k2, desc);
    }) : (function(o, m, k, k2) {
      if (k2 === void 0) k2 = k;
      o[k2] = m[k];
    }));
    var __exportStar = exports && exports.__exportStar || function(m, exports2) {
      for (var p in m) if (p !== "default" && !Object.prototype.hasOwnProperty.call(exports2, p)) __createBinding(exports2, m, p);
    };
    Object.defineProperty(exports, "__esModule", { value: true });
    __exportStar(require_abortable(), exports);
    __exportStar(require_AbortError(), exports);
    __exportStar(require_delay(), exports);
    __exportStar(require_execute(), exports);
    __exportStar(require_forever(), exports);
    __exportStar(require_waitForEvent(), exports);
    __exportStar(require_all(), exports);
    __exportStar(require_race(), exports);
    __exportStar(require_retry(), exports);
    __exportStar(require_spawn(), exports);
    __exportStar(require_run(), exports);
    __exportStar(require_proactiveRetry(), exports);
  }
});

// node_modules/p-defer/index.js
function pDefer() {
  const deferred = {};
  deferred.promise = new Promise((resolve, reject) => {
    deferred.resolve = resolve;
    deferred.reject = reject;
  });
  return deferred;
}

// node_modules/it-pushable/dist/src/fifo.js
var FixedFIFO = class {
  buffer;
  mask;
  top;
  btm;
  next;
  constructor(hwm) {
    if (!(hwm > 0) || (hwm - 1 & hwm) !== 0) {
      throw new Error("Max size for a FixedFIFO should be a power of two");
    }
    this.buffer = new Array(hwm);
    this.mask = hwm - 1;
    this.top = 0;
    this.btm = 0;
    this.next = null;
  }
  push(data) {
    if (this.buffer[this.top] !== void 0) {
      return false;
    }
    this.buffer[this.top] = data;
    this.top = this.top + 1 & this.mask;
    return true;
  }
  shift() {
    const last = this.buffer[this.btm];
    if (last === void 0) {
      return void 0;
    }
    this.buffer[this.btm] = void 0;
    this.btm = this.btm + 1 & this.mask;
    return last;
  }
  isEmpty() {
    return this.buffer[this.btm] === void 0;
  }
};
var FIFO = class {
  size;
  hwm;
  head;
  tail;
  constructor(options2 = {}) {
    this.hwm = options2.splitLimit ?? 16;
    this.head = new FixedFIFO(this.hwm);
    this.tail = this.head;
    this.size = 0;
  }
  calculateSize(obj) {
    if (obj?.byteLength != null) {
      return obj.byteLength;
    }
    return 1;
  }
  push(val) {
    if (val?.value != null) {
      this.size += this.calculateSize(val.value);
    }
    if (!this.head.push(val)) {
      const prev = this.head;
      this.head = prev.next = new FixedFIFO(2 * this.head.buffer.length);
      this.head.push(val);
    }
  }
  shift() {
    let val = this.tail.shift();
    if (val === void 0 && this.tail.next != null) {
      const next = this.tail.next;
      this.tail.next = null;
      this.tail = next;
      val = this.tail.shift();
    }
    if (val?.value != null) {
      this.size -= this.calculateSize(val.value);
    }
    return val;
  }
  isEmpty() {
    return this.head.isEmpty();
  }
};

// node_modules/it-pushable/dist/src/index.js
var AbortError = class extends Error {
  type;
  code;
  constructor(message, code) {
    super(message ?? "The operation was aborted");
    this.type = "aborted";
    this.code = code ?? "ABORT_ERR";
  }
};
function pushable(options2 = {}) {
  const getNext = (buffer) => {
    const next = buffer.shift();
    if (next == null) {
      return { done: true };
    }
    if (next.error != null) {
      throw next.error;
    }
    return {
      done: next.done === true,
      // @ts-expect-error if done is false, value will be present
      value: next.value
    };
  };
  return _pushable(getNext, options2);
}
function _pushable(getNext, options2) {
  options2 = options2 ?? {};
  let onEnd2 = options2.onEnd;
  let buffer = new FIFO();
  let pushable2;
  let onNext;
  let ended;
  let drain = pDefer();
  const waitNext = async () => {
    try {
      if (!buffer.isEmpty()) {
        return getNext(buffer);
      }
      if (ended) {
        return { done: true };
      }
      return await new Promise((resolve, reject) => {
        onNext = (next) => {
          onNext = null;
          buffer.push(next);
          try {
            resolve(getNext(buffer));
          } catch (err) {
            reject(err);
          }
          return pushable2;
        };
      });
    } finally {
      if (buffer.isEmpty()) {
        queueMicrotask(() => {
          drain.resolve();
          drain = pDefer();
        });
      }
    }
  };
  const bufferNext = (next) => {
    if (onNext != null) {
      return onNext(next);
    }
    buffer.push(next);
    return pushable2;
  };
  const bufferError = (err) => {
    buffer = new FIFO();
    if (onNext != null) {
      return onNext({ error: err });
    }
    buffer.push({ error: err });
    return pushable2;
  };
  const push = (value) => {
    if (ended) {
      return pushable2;
    }
    if (options2?.objectMode !== true && value?.byteLength == null) {
      throw new Error("objectMode was not true but tried to push non-Uint8Array value");
    }
    return bufferNext({ done: false, value });
  };
  const end = (err) => {
    if (ended) {
      return pushable2;
    }
    ended = true;
    return err != null ? bufferError(err) : bufferNext({ done: true });
  };
  const _return = () => {
    buffer = new FIFO();
    end();
    return { done: true };
  };
  const _throw = (err) => {
    end(err);
    return { done: true };
  };
  pushable2 = {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: waitNext,
    return: _return,
    throw: _throw,
    push,
    end,
    get readableLength() {
      return buffer.size;
    },
    onEmpty: async (options3) => {
      const signal = options3?.signal;
      signal?.throwIfAborted();
      if (buffer.isEmpty()) {
        return;
      }
      let cancel2;
      let listener;
      if (signal != null) {
        cancel2 = new Promise((resolve, reject) => {
          listener = () => {
            reject(new AbortError());
          };
          signal.addEventListener("abort", listener);
        });
      }
      try {
        await Promise.race([
          drain.promise,
          cancel2
        ]);
      } finally {
        if (listener != null && signal != null) {
          signal?.removeEventListener("abort", listener);
        }
      }
    }
  };
  if (onEnd2 == null) {
    return pushable2;
  }
  const _pushable2 = pushable2;
  pushable2 = {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      return _pushable2.next();
    },
    throw(err) {
      _pushable2.throw(err);
      if (onEnd2 != null) {
        onEnd2(err);
        onEnd2 = void 0;
      }
      return { done: true };
    },
    return() {
      _pushable2.return();
      if (onEnd2 != null) {
        onEnd2();
        onEnd2 = void 0;
      }
      return { done: true };
    },
    push,
    end(err) {
      _pushable2.end(err);
      if (onEnd2 != null) {
        onEnd2(err);
        onEnd2 = void 0;
      }
      return pushable2;
    },
    get readableLength() {
      return _pushable2.readableLength;
    },
    onEmpty: (opts) => {
      return _pushable2.onEmpty(opts);
    }
  };
  return pushable2;
}

// src/errors.ts
var MqttError = class extends Error {
  code;
  /** Whether the same attempt may succeed later without anyone changing anything. */
  retryable;
  constructor(message, { code, retryable = false, cause: cause2 }) {
    super(message, cause2 === void 0 ? void 0 : { cause: cause2 });
    this.code = code;
    this.retryable = retryable;
  }
};
var UsageError = class extends MqttError {
  name = "UsageError";
  constructor(message, details = {}) {
    super(message, { code: details.code ?? "USAGE", cause: details.cause });
  }
};
var ProtocolError = class extends MqttError {
  name = "ProtocolError";
  reasonCode;
  clause;
  constructor(message, details) {
    super(message, {
      code: details.code ?? "PROTOCOL",
      retryable: details.retryable ?? true,
      cause: details.cause
    });
    this.reasonCode = details.reasonCode;
    this.clause = details.clause;
  }
};
var RefusedError = class extends MqttError {
  name = "RefusedError";
  reasonCode;
  packet;
  constructor(message, details) {
    super(message, details);
    this.reasonCode = details.reasonCode;
    this.packet = details.packet;
  }
};
var ConnectionError = class extends MqttError {
  name = "ConnectionError";
  constructor(message, details) {
    super(message, { retryable: true, ...details });
  }
};
var StorageError = class extends MqttError {
  name = "StorageError";
  constructor(message, details = {}) {
    super(message, { code: "STORAGE", ...details });
  }
};
var BugError = class extends MqttError {
  name = "BugError";
  constructor(message, details = {}) {
    super(`${message} (a defect of it-mqtt; please report it)`, { code: "BUG", ...details });
  }
};
function assert(condition, message) {
  if (!condition) throw new BugError(message);
}
function unreachable(value) {
  throw new BugError(`unexpected ${JSON.stringify(value)}`);
}
function describe(value) {
  if (value === null) return "null";
  if (value === void 0) return "nothing";
  if (typeof value === "string") return `"${value.length > 40 ? `${value.slice(0, 40)}\u2026` : value}"`;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") {
    return String(value);
  }
  if (typeof value === "object") {
    const name = Object.getPrototypeOf(value)?.constructor?.name;
    return `an object${name && name !== "Object" ? ` (${name})` : ""}`;
  }
  return `a ${typeof value}`;
}
function wrong(name, given, allowed, problem) {
  if (problem !== void 0) return new UsageError(`${name} ${problem}: ${allowed} is expected`);
  return new UsageError(`${name}: ${allowed} is expected, ${describe(given)} was given`);
}

// src/protocol/topics.ts
var STRING_BYTES_MAX = 65535;
var PLUS = 43;
var HASH = 35;
var SLASH = 47;
function utf8Length(text) {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 128) continue;
    if (unit < 2048) bytes += 1;
    else if (unit < 55296 || unit > 57343) bytes += 2;
    else {
      const next = text.charCodeAt(i + 1);
      if (unit > 56319 || !(next >= 56320 && next <= 57343)) return -1;
      bytes += 2;
      i++;
    }
  }
  return bytes;
}
function stringProblem(text) {
  const bytes = utf8Length(text);
  if (bytes < 0) return "holds a lone surrogate, which UTF-8 cannot carry [MQTT-1.5.4-1]";
  if (bytes > STRING_BYTES_MAX) {
    return `has ${bytes} bytes of UTF-8; at most ${STRING_BYTES_MAX} fit [MQTT-4.7.3-3]`;
  }
  if (text.includes("\0")) return "holds U+0000 [MQTT-1.5.4-2]";
  return null;
}
function topicNameProblem(topic) {
  if (topic.length === 0) return "is empty; it needs at least one character [MQTT-4.7.3-1]";
  if (hasWildcard(topic)) {
    return "holds a wildcard (+ or #), which only a filter may have [MQTT-3.3.2-2]";
  }
  return stringProblem(topic);
}
function topicFilterProblem(filter, protocolVersion) {
  if (filter.length === 0) return "is empty; it needs at least one character [MQTT-4.7.3-1]";
  const problem = stringProblem(filter);
  if (problem !== null) return problem;
  if (protocolVersion === 5 && isShared(filter)) {
    const second = filter.indexOf("/", SHARE.length);
    const name = second < 0 ? filter.slice(SHARE.length) : filter.slice(SHARE.length, second);
    if (name.length === 0) return "has an empty share name: $share/name/filter [MQTT-4.8.2-1]";
    if (hasWildcard(name)) return "has a wildcard in its share name [MQTT-4.8.2-2]";
    if (second < 0 || second === filter.length - 1) {
      return "has no filter behind its share name: $share/name/filter [MQTT-4.8.2-2]";
    }
    return wildcardProblem(filter.slice(second + 1));
  }
  return wildcardProblem(filter);
}
function wildcardProblem(filter) {
  for (let i = 0; i < filter.length; i++) {
    const unit = filter.charCodeAt(i);
    if (unit !== PLUS && unit !== HASH) continue;
    const opens = i === 0 || filter.charCodeAt(i - 1) === SLASH;
    const last = i === filter.length - 1;
    if (unit === HASH && !(opens && last)) {
      return "has a # that is not a whole last level, as in a/# [MQTT-4.7.1-1]";
    }
    if (unit === PLUS && !(opens && (last || filter.charCodeAt(i + 1) === SLASH))) {
      return "has a + that is not a whole level, as in a/+/b [MQTT-4.7.1-2]";
    }
  }
  return null;
}
var SHARE = "$share/";
function isShared(filter) {
  return filter.startsWith(SHARE) || filter === "$share";
}
function hasWildcard(text) {
  return text.includes("+") || text.includes("#");
}

// src/codec/writer.ts
import { types } from "node:util";

// src/codec/properties.ts
var IN = {
  connect: 1,
  will: 2,
  connack: 4,
  publish: 8,
  ack: 16,
  // PUBACK, PUBREC, PUBREL, PUBCOMP
  subscribe: 32,
  suback: 64,
  unsubscribe: 128,
  unsuback: 256,
  disconnect: 512,
  auth: 1024
};
var TYPE_MAX = {
  flag: 1,
  byte: 255,
  uint16: 65535,
  uint32: 4294967295,
  varint: 268435455,
  string: 65535,
  topic: 65535,
  binary: 65535,
  pair: 65535
};
var ANSWERS = IN.connack | IN.ack | IN.suback | IN.unsuback | IN.disconnect | IN.auth;
var EVERYWHERE = 2047;
var ROWS = [
  [1, "payloadFormatIndicator", "flag", IN.publish | IN.will, "3.3.2.3.2"],
  [2, "messageExpiryInterval", "uint32", IN.publish | IN.will, "3.3.2.3.3"],
  [3, "contentType", "string", IN.publish | IN.will, "3.3.2.3.9"],
  [8, "responseTopic", "topic", IN.publish | IN.will, "MQTT-3.3.2-14"],
  [9, "correlationData", "binary", IN.publish | IN.will, "3.3.2.3.6"],
  // Several in a PUBLISH from the server, one for each subscription that it matches; one in a SUBSCRIBE.
  [11, "subscriptionIdentifier", "varint", IN.publish | IN.subscribe, "3.3.2.3.8", { min: 1 }],
  [17, "sessionExpiryInterval", "uint32", IN.connect | IN.connack | IN.disconnect, "3.2.2.3.2"],
  [18, "assignedClientIdentifier", "string", IN.connack, "3.2.2.3.7"],
  [19, "serverKeepAlive", "uint16", IN.connack, "3.2.2.3.14"],
  [21, "authenticationMethod", "string", IN.connect | IN.connack | IN.auth, "3.15.2.2.2"],
  [22, "authenticationData", "binary", IN.connect | IN.connack | IN.auth, "3.15.2.2.3"],
  [23, "requestProblemInformation", "flag", IN.connect, "3.1.2.11.7"],
  [24, "willDelayInterval", "uint32", IN.will, "3.1.3.2.2"],
  [25, "requestResponseInformation", "flag", IN.connect, "3.1.2.11.6"],
  [26, "responseInformation", "string", IN.connack, "3.2.2.3.15"],
  [28, "serverReference", "string", IN.connack | IN.disconnect, "3.2.2.3.16"],
  [31, "reasonString", "string", ANSWERS, "3.4.2.2.2"],
  [33, "receiveMaximum", "uint16", IN.connect | IN.connack, "3.2.2.3.3", { min: 1 }],
  [34, "topicAliasMaximum", "uint16", IN.connect | IN.connack, "3.2.2.3.8"],
  [35, "topicAlias", "uint16", IN.publish, "MQTT-3.3.2-8", { min: 1 }],
  [36, "maximumQoS", "byte", IN.connack, "3.2.2.3.4", { max: 1 }],
  [37, "retainAvailable", "flag", IN.connack, "3.2.2.3.5"],
  [38, "userProperties", "pair", EVERYWHERE, "2.2.2.2", { repeatable: true }],
  [39, "maximumPacketSize", "uint32", IN.connect | IN.connack, "3.2.2.3.6", { min: 1 }],
  [40, "wildcardSubscriptionAvailable", "flag", IN.connack, "3.2.2.3.11"],
  [41, "subscriptionIdentifiersAvailable", "flag", IN.connack, "3.2.2.3.12"],
  [42, "sharedSubscriptionAvailable", "flag", IN.connack, "3.2.2.3.13"]
];
var PROPERTY_RULES = ROWS.reduce((rules, [id, name, type, places, clause, limits = {}], index) => {
  const { min = 0, max = TYPE_MAX[type], repeatable = false } = limits;
  rules[id] = { id, name, type, places, repeatable, min, max, clause, bit: 1 << index };
  return rules;
}, new Array(43).fill(void 0));
var PROPERTY_NAMES = new Map(
  PROPERTY_RULES.flatMap((rule) => rule === void 0 ? [] : [[rule.name, rule]])
);

// src/codec/writer.ts
var REMAINING_LENGTH_MAX = 268435455;
function varintBytes(value) {
  return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}
function packetBytes(remainingLength) {
  return 1 + varintBytes(remainingLength) + remainingLength;
}
function writeVarint(into, at, value) {
  while (value >= 128) {
    into[at++] = value & 127 | 128;
    value >>>= 7;
  }
  into[at++] = value;
  return at;
}
var Writer = class {
  bytes = Buffer.allocUnsafe(256);
  at = 0;
  /** What was written, in a buffer of its own size. */
  take() {
    const taken = Buffer.from(this.bytes.subarray(0, this.at));
    this.at = 0;
    return taken;
  }
  byte(value) {
    this.room(1);
    this.bytes[this.at++] = value;
  }
  uint16(value) {
    this.room(2);
    this.at = this.bytes.writeUInt16BE(value, this.at);
  }
  uint32(value) {
    this.room(4);
    this.at = this.bytes.writeUInt32BE(value, this.at);
  }
  varint(value) {
    this.room(4);
    this.at = writeVarint(this.bytes, this.at, value);
  }
  /** A string that was judged, with its length before it. */
  string(value) {
    const length = Buffer.byteLength(value);
    this.uint16(length);
    this.room(length);
    this.at += this.bytes.write(value, this.at);
  }
  binary(value) {
    this.uint16(value.length);
    this.raw(value);
  }
  raw(value) {
    this.room(value.length);
    this.bytes.set(value, this.at);
    this.at += value.length;
  }
  room(bytes) {
    if (this.at + bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + bytes));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }
};
function isBytes(value) {
  return value instanceof Uint8Array || types.isUint8Array(value);
}
var NOT_BASE64 = /[^A-Za-z0-9+/]/;
function bytesOfBase64(value) {
  if (typeof value !== "object" || value === null) return null;
  const text = value.base64;
  if (typeof text !== "string" || Object.keys(value).length !== 1) return null;
  if (text.length % 4 !== 0) return null;
  const end = text.endsWith("==") ? text.length - 2 : text.endsWith("=") ? text.length - 1 : text.length;
  return NOT_BASE64.test(text.slice(0, end)) ? null : Buffer.from(text, "base64");
}
function wrong2(where, allowed, given) {
  throw new UsageError(`${where} must be ${allowed}, not ${describe(given)}`);
}
function judgedString(value, where) {
  if (typeof value !== "string") wrong2(where, "a string", value);
  const problem = stringProblem(value);
  if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(value)}`);
  return value;
}
function judgedBinary(value, where) {
  const bytes = isBytes(value) ? value : typeof value === "string" ? Buffer.from(value) : bytesOfBase64(value);
  if (bytes === null) wrong2(where, "a Uint8Array, a string or { base64 }", value);
  if (bytes.length > 65535) {
    throw new UsageError(`${where} has ${bytes.length} bytes; at most 65535 fit`);
  }
  return bytes;
}
function encodeProperties(properties, place, where, except = "") {
  if (properties === void 0) return null;
  if (typeof properties !== "object" || properties === null || Array.isArray(properties)) {
    wrong2(where, "an object", properties);
  }
  const writer = new Writer();
  for (const name of Object.keys(properties)) {
    const value = properties[name];
    if (value === void 0) continue;
    const rule = PROPERTY_NAMES.get(name);
    if (rule === void 0 || (rule.places & IN[place]) === 0) {
      const allowed = [...PROPERTY_NAMES.values()].filter((known) => (known.places & IN[place]) !== 0 && !isOurs(known.name, place)).map((known) => known.name);
      throw new UsageError(`${where} has no ${describe(name)}; allowed: ${allowed.join(", ")}`);
    }
    if (isOurs(name, place)) {
      throw new UsageError(
        `${where}.${name} is not for requests to set [MQTT-3.3.4-6]: leave it out`
      );
    }
    writeProperty(name === except ? new Writer() : writer, rule, value, `${where}.${name}`);
  }
  const bytes = writer.take();
  return bytes.length === 0 ? null : bytes;
}
function isOurs(name, place) {
  return place === "publish" && (name === "topicAlias" || name === "subscriptionIdentifier");
}
function writeProperty(writer, rule, value, where) {
  const { id, type } = rule;
  switch (type) {
    case "flag":
      if (typeof value !== "boolean") wrong2(where, "true or false", value);
      writer.byte(id);
      writer.byte(value ? 1 : 0);
      return;
    case "string":
    case "topic": {
      const text = judgedString(value, where);
      const problem = type === "topic" ? topicNameProblem(text) : null;
      if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(text)}`);
      writer.byte(id);
      writer.string(text);
      return;
    }
    case "binary": {
      const bytes = judgedBinary(value, where);
      writer.byte(id);
      writer.binary(bytes);
      return;
    }
    case "pair":
      writeUserProperties(writer, id, value, where);
      return;
    default: {
      const fits = Number.isInteger(value) && value >= rule.min;
      if (!fits || value > rule.max) {
        wrong2(where, `a whole number from ${rule.min} to ${rule.max}`, value);
      }
      const number = value;
      writer.byte(id);
      if (type === "uint16") writer.uint16(number);
      else if (type === "uint32") writer.uint32(number);
      else if (type === "varint") writer.varint(number);
      else writer.byte(number);
    }
  }
}
function writeUserProperties(writer, id, value, where) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    wrong2(where, "an object of strings, or of arrays of strings", value);
  }
  for (const name of Object.keys(value)) {
    const given = value[name];
    if (given === void 0) continue;
    const field = `${where}[${describe(name)}]`;
    judgedString(name, `the name ${field}`);
    for (const one of Array.isArray(given) ? given : [given]) {
      const text = judgedString(one, field);
      writer.byte(id);
      writer.string(name);
      writer.string(text);
    }
  }
}

// src/codec/prepare.ts
function preparePublish(request2, version) {
  for (const name in request2) if (!isPublishField(name)) unknownField(request2, name, PUBLISH_FIELDS);
  const { topic, payload: payload2, qos, retain, properties } = request2;
  judgeOptions(request2);
  const topicBytes = topicBytesOf(topic);
  let bytes = "";
  let payloadBytes2 = 0;
  if (typeof payload2 === "string") {
    bytes = payload2;
    payloadBytes2 = Buffer.byteLength(payload2);
  } else if (payload2 !== void 0) {
    bytes = isBytes(payload2) ? payload2 : bytesOfBase64(payload2) ?? wrongPayload(payload2);
    payloadBytes2 = bytes.length;
  }
  if (retain !== void 0 && typeof retain !== "boolean") {
    wrong3("publish.retain", "true or false", retain);
  }
  let encoded = null;
  let expiry;
  let propertyBytes = 0;
  if (properties !== void 0) {
    judgeProperties("publish", version);
    encoded = encodeProperties(properties, "publish", "publish.properties", EXPIRY);
    expiry = properties[EXPIRY];
    propertyBytes = (encoded === null ? 0 : encoded.length) + (expiry === void 0 ? 0 : 5);
  }
  const judgedQos = qos === void 0 ? 0 : qosOf(qos, "publish.qos");
  const rest2 = (judgedQos === 0 ? 0 : 2) + varintBytes(propertyBytes) + propertyBytes;
  const length = topicBytes.length + rest2 + payloadBytes2;
  if (length > REMAINING_LENGTH_MAX) {
    throw new UsageError(
      `the publish request has ${length} bytes; an MQTT packet holds ${REMAINING_LENGTH_MAX}`
    );
  }
  return {
    kind: "publish",
    request: request2,
    topic: topicBytes,
    payload: bytes,
    payloadBytes: payloadBytes2,
    qos: judgedQos,
    retain: retain === true,
    properties: encoded,
    expirySeconds: expiry === void 0 ? 0 : expiry,
    expiryGiven: expiry !== void 0,
    bytes: packetBytes(length),
    settling: null,
    unlisten: null
  };
}
var EXPIRY = "messageExpiryInterval";
function prepareSubscribe(request2, version) {
  judgeFields(request2, SUBSCRIBE_FIELDS);
  judgeOptions(request2);
  const given = listOf(request2.subscriptions, "subscribe.subscriptions", "MQTT-3.8.3-2");
  let length = 2;
  const subscriptions = given.map((item, index) => {
    const where = `subscribe.subscriptions[${index}]`;
    if (typeof item !== "object" || item === null) wrong3(where, "an object with topic, qos", item);
    const subscription = item;
    for (const name in subscription) {
      if (!SUBSCRIPTION_FIELDS.has(name)) {
        throw new UsageError(
          `${where} has no ${describe(name)}; allowed: ${list(SUBSCRIPTION_FIELDS)}`
        );
      }
    }
    const { nl, rap, rh } = subscription;
    const topic = filterOf(subscription.topic, `${where}.topic`, version);
    const qos = qosOf(subscription.qos, `${where}.qos`);
    judgeFlag(nl, `${where}.nl`, version);
    judgeFlag(rap, `${where}.rap`, version);
    if (rh !== void 0 && rh !== 0 && rh !== 1 && rh !== 2) wrong3(`${where}.rh`, "0, 1 or 2", rh);
    if (rh && version !== 5) onlyFive(`${where}.rh`);
    if (nl === true && isShared(topic)) {
      throw new UsageError(`${where}.nl cannot be true for a shared subscription [MQTT-3.8.3-4]`);
    }
    length += 3 + Buffer.byteLength(topic);
    return version === 5 ? { topic, qos, nl: nl === true, rap: rap === true, rh: rh ?? 0 } : { topic, qos };
  });
  const properties = copiedProperties(request2, "subscribe", version);
  length += encodedBytes(properties, "subscribe");
  return {
    kind: "subscribe",
    request: request2,
    subscriptions,
    properties,
    bytes: packetBytes(length),
    settling: null,
    unlisten: null
  };
}
function prepareUnsubscribe(request2, version) {
  judgeFields(request2, UNSUBSCRIBE_FIELDS);
  judgeOptions(request2);
  const given = listOf(request2.unsubscriptions, "unsubscribe.unsubscriptions", "MQTT-3.10.3-2");
  let length = 2;
  const unsubscriptions = given.map((item, index) => {
    const filter = filterOf(item, `unsubscribe.unsubscriptions[${index}]`, version);
    length += 2 + Buffer.byteLength(filter);
    return filter;
  });
  const properties = copiedProperties(request2, "unsubscribe", version);
  length += encodedBytes(properties, "unsubscribe");
  return {
    kind: "unsubscribe",
    request: request2,
    unsubscriptions,
    properties,
    bytes: packetBytes(length),
    settling: null,
    unlisten: null
  };
}
var TOPICS_MAX = 4096;
var CACHED_TOPIC_LENGTH_MAX = 256;
var topics = /* @__PURE__ */ new Map();
var lastTopic = null;
var lastTopicBytes = new Uint8Array(0);
function topicBytesOf(topic) {
  if (typeof topic !== "string") wrong3("publish.topic", "a string", topic);
  if (topic === lastTopic) return lastTopicBytes;
  const known = topics.get(topic);
  if (known !== void 0) return remember(topic, known);
  const problem = topicNameProblem(topic);
  if (problem !== null) throw new UsageError(`publish.topic ${problem}: ${describe(topic)}`);
  const length = Buffer.byteLength(topic);
  const bytes = Buffer.allocUnsafeSlow(2 + length);
  bytes.writeUInt16BE(length, 0);
  bytes.write(topic, 2);
  if (topic.length <= CACHED_TOPIC_LENGTH_MAX) {
    if (topics.size >= TOPICS_MAX) topics.clear();
    topics.set(topic, bytes);
  }
  return remember(topic, bytes);
}
function remember(topic, bytes) {
  lastTopic = topic;
  lastTopicBytes = bytes;
  return bytes;
}
function filterOf(filter, where, version) {
  if (typeof filter !== "string") wrong3(where, "a string", filter);
  const problem = topicFilterProblem(filter, version);
  if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(filter)}`);
  return filter;
}
var PUBLISH_FIELDS = ["cmd", "topic", "payload", "qos", "retain", "properties", "key", "signal"];
function isPublishField(name) {
  switch (name) {
    case "cmd":
    case "topic":
    case "payload":
    case "qos":
    case "retain":
    case "properties":
    case "key":
    case "signal":
      return true;
    default:
      return false;
  }
}
var SUBSCRIBE_FIELDS = /* @__PURE__ */ new Set([
  ...["cmd", "subscriptions", "properties", "key", "signal"]
]);
var UNSUBSCRIBE_FIELDS = /* @__PURE__ */ new Set([
  ...["cmd", "unsubscriptions", "properties", "key", "signal"]
]);
var SUBSCRIPTION_FIELDS = /* @__PURE__ */ new Set(["topic", "qos", "nl", "rap", "rh"]);
function judgeFields(request2, allowed) {
  for (const name in request2) if (!allowed.has(name)) unknownField(request2, name, allowed);
}
function unknownField(request2, name, allowed) {
  const where = `the ${String(request2.cmd)} request`;
  if (name === "messageId" || name === "dup") {
    throw new UsageError(`${where} has ${name}, which the engine assigns: leave it out`);
  }
  throw new UsageError(`${where} has no field ${describe(name)}; allowed: ${list(allowed)}`);
}
function judgeOptions(request2) {
  const { key, signal } = request2;
  if (key !== void 0 && typeof key !== "string" && !Number.isFinite(key)) {
    wrong3(`${String(request2.cmd)}.key`, "a string or a finite number", key);
  }
  if (signal !== void 0 && typeof signal?.aborted !== "boolean") {
    wrong3(`${String(request2.cmd)}.signal`, "an AbortSignal", signal);
  }
}
function judgeProperties(cmd, version) {
  if (version !== 5) onlyFive(`${cmd}.properties`);
}
function judgeFlag(value, where, version) {
  if (value !== void 0 && typeof value !== "boolean") wrong3(where, "true or false", value);
  if (value === true && version !== 5) onlyFive(where);
}
function qosOf(value, where) {
  return value === 0 || value === 1 || value === 2 ? value : wrong3(where, "0, 1 or 2", value);
}
function listOf(value, where, clause) {
  if (!Array.isArray(value)) wrong3(where, "an array", value);
  if (value.length === 0)
    throw new UsageError(`${where} is empty; it needs one at least [${clause}]`);
  return Array.from(value);
}
function copiedProperties(request2, cmd, version) {
  const { properties } = request2;
  if (properties === void 0) return void 0;
  judgeProperties(cmd, version);
  encodeProperties(properties, cmd, `${cmd}.properties`);
  const { subscriptionIdentifier, userProperties } = properties;
  const copy = {};
  if (subscriptionIdentifier !== void 0) copy.subscriptionIdentifier = subscriptionIdentifier;
  if (userProperties !== void 0) copy.userProperties = structuredClone(userProperties);
  return copy;
}
function encodedBytes(properties, cmd) {
  const bytes = encodeProperties(properties, cmd, `${cmd}.properties`)?.length ?? 0;
  return varintBytes(bytes) + bytes;
}
function onlyFive(where) {
  throw new UsageError(`${where} needs MQTT 5; this connection speaks MQTT 3.1 or 3.1.1`);
}
function wrongPayload(payload2) {
  return wrong3("publish.payload", "a string, a Uint8Array or { base64 } (padded)", payload2);
}
function wrong3(where, allowed, given) {
  throw new UsageError(`${where} must be ${allowed}, not ${describe(given)}`);
}
function list(names) {
  return [...names].join(", ");
}

// src/requests.ts
function prepare(request2, protocolVersion) {
  if (typeof request2 !== "object" || request2 === null) {
    wrong3("a request", "an object with cmd", request2);
  }
  const fields = request2;
  switch (fields.cmd) {
    case "publish":
      return preparePublish(fields, protocolVersion);
    case "subscribe":
      return prepareSubscribe(fields, protocolVersion);
    case "unsubscribe":
      return prepareUnsubscribe(fields, protocolVersion);
    default:
      return prepareControl(fields);
  }
}
var REQUESTS = ["publish", "subscribe", "unsubscribe"];
var CONTROL_FIELDS = {
  pause: ["ms"],
  resume: [],
  throttle: ["perSecond"],
  reconnect: ["reconnect"],
  disconnect: ["timeout"],
  shutdown: [],
  ping: []
};
function prepareControl(request2) {
  if (typeof request2 !== "object" || request2 === null) {
    wrong3("a control", "an object with cmd", request2);
  }
  const fields = request2;
  const { cmd } = fields;
  if (typeof cmd !== "string" || !Object.hasOwn(CONTROL_FIELDS, cmd)) {
    wrong3("cmd", `one of ${list([...REQUESTS, ...Object.keys(CONTROL_FIELDS)])}`, cmd);
  }
  const allowed = CONTROL_FIELDS[cmd];
  judgeFields(fields, /* @__PURE__ */ new Set(["cmd", "key", "signal", ...allowed]));
  judgeOptions(fields);
  const { ms, perSecond, timeout, reconnect: reconnect2 } = fields;
  if (ms !== void 0) judgeMs(ms, "pause.ms");
  if (timeout !== void 0) judgeMs(timeout, "disconnect.timeout");
  if (cmd === "throttle" && perSecond !== null) {
    if (typeof perSecond !== "number" || !(perSecond > 0) || perSecond === Infinity) {
      wrong3("throttle.perSecond", "a number above 0, or null to lift it", perSecond);
    }
  }
  if (reconnect2 !== void 0) judgePolicy(reconnect2);
  return { kind: "control", control: request2 };
}
function judgeMs(value, where) {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    wrong3(where, "milliseconds, 0 or more", value);
  }
}
var POLICIES = ["always", "after-first-success", "never"];
var POLICY_FIELDS = ["when", "minMs", "maxMs", "stableMs", "retryable"];
function judgePolicy(policy) {
  const where = "reconnect.reconnect";
  if (typeof policy === "string" && POLICIES.includes(policy)) return;
  if (typeof policy !== "object" || policy === null) {
    wrong3(where, `one of ${list(POLICIES)}, or an object`, policy);
  }
  for (const [name, value] of Object.entries(policy)) {
    if (!POLICY_FIELDS.includes(name)) {
      throw new UsageError(`${where} has no ${describe(name)}; allowed: ${list(POLICY_FIELDS)}`);
    }
    if (value === void 0) continue;
    if (name === "when") {
      if (!POLICIES.includes(value)) wrong3(`${where}.when`, list(POLICIES), value);
    } else if (name === "retryable") {
      if (typeof value !== "function") wrong3(`${where}.retryable`, "a function", value);
    } else {
      judgeMs(value, `${where}.${name}`);
    }
  }
}

// src/protocol/packet-table.ts
var NONE = [];
var EMPTY = Object.freeze({ size: 0, branches: Object.freeze([]) });
function emptyTable() {
  return EMPTY;
}
function lookup(table, key) {
  return table.branches[key >>> 11]?.slots[key >>> 6 & 31]?.slots[key & 63];
}
function* entries(table) {
  for (let b = 0; b < table.branches.length; b++) {
    const leaves = table.branches[b]?.slots ?? [];
    for (let l = 0; l < leaves.length; l++) {
      const slots = leaves[l]?.slots ?? [];
      for (let s = 0; s < slots.length; s++) {
        const value = slots[s];
        if (value !== void 0) yield [b << 11 | l << 6 | s, value];
      }
    }
  }
}
function* differences(before, after) {
  if (before === after) return;
  for (let b = 0; b < 32; b++) {
    const [branch, branchNow] = [before.branches[b], after.branches[b]];
    if (branch === branchNow) continue;
    for (let l = 0; l < 32; l++) {
      const [leaf, leafNow] = [branch?.slots[l], branchNow?.slots[l]];
      if (leaf === leafNow) continue;
      for (let s = 0; s < 64; s++) {
        const [value, valueNow] = [leaf?.slots[s], leafNow?.slots[s]];
        if (value !== valueNow) yield [b << 11 | l << 6 | s, value, valueNow];
      }
    }
  }
}
var TableEditor = class {
  #original;
  size;
  /** Undefined until the first change; then a copy. */
  #branches = void 0;
  /** Bit b: branch b was made by this editor. */
  #ownBranches = 0;
  /** By branch, bit l: leaf l was made by this editor. */
  #ownLeaves = NONE;
  constructor(table) {
    this.#original = table;
    this.size = table.size;
  }
  get(key) {
    const branches = this.#branches ?? this.#original.branches;
    return branches[key >>> 11]?.slots[key >>> 6 & 31]?.slots[key & 63];
  }
  set(key, value) {
    const leaf = this.#ownLeaf(key);
    if (leaf.slots[key & 63] === void 0) {
      leaf.count++;
      this.size++;
    }
    leaf.slots[key & 63] = value;
  }
  /** Removes and returns the entry. */
  remove(key) {
    const value = this.get(key);
    if (value === void 0) return void 0;
    const leaf = this.#ownLeaf(key);
    leaf.slots[key & 63] = void 0;
    leaf.count--;
    this.size--;
    if (leaf.count === 0) this.#prune(key);
    return value;
  }
  clear() {
    this.#branches = new Array(32).fill(void 0);
    this.#ownBranches = 0;
    this.#ownLeaves = NONE;
    this.size = 0;
  }
  finish() {
    if (this.#branches === void 0) return this.#original;
    return this.size === 0 ? EMPTY : { size: this.size, branches: this.#branches };
  }
  #ownLeaf(key) {
    const b = key >>> 11;
    const l = key >>> 6 & 31;
    const branch = this.#ownBranch(b);
    const leaf = branch.slots[l];
    if ((this.#ownLeaves[b] & 1 << l) !== 0) return leaf;
    this.#ownLeaves[b] |= 1 << l;
    if (leaf === void 0) branch.count++;
    const own = leaf ? { count: leaf.count, slots: leaf.slots.slice() } : { count: 0, slots: new Array(64).fill(void 0) };
    branch.slots[l] = own;
    return own;
  }
  #ownBranch(b) {
    if ((this.#ownBranches & 1 << b) !== 0) return this.#branches[b];
    if (this.#branches === void 0) {
      this.#branches = this.#original.size > 0 ? this.#original.branches.slice() : new Array(32).fill(void 0);
    }
    if (this.#ownLeaves === NONE) this.#ownLeaves = new Array(32).fill(0);
    const branch = this.#branches[b];
    const own = branch ? { count: branch.count, slots: branch.slots.slice() } : { count: 0, slots: new Array(32).fill(void 0) };
    this.#branches[b] = own;
    this.#ownBranches |= 1 << b;
    this.#ownLeaves[b] = 0;
    return own;
  }
  #prune(key) {
    const b = key >>> 11;
    const l = key >>> 6 & 31;
    const branch = this.#ownBranch(b);
    branch.slots[l] = void 0;
    this.#ownLeaves[b] &= ~(1 << l);
    branch.count--;
    if (branch.count > 0) return;
    this.#branches[b] = void 0;
    this.#ownBranches &= ~(1 << b);
  }
};

// src/protocol/refusals.ts
function isExpired(facts, at) {
  return facts.kind === "publish" && facts.expiresAt !== 0 && facts.expiresAt <= at;
}
function refusalOf(facts, limits, at) {
  if (isExpired(facts, at)) {
    const message = "The message expired before it could be sent (messageExpiryInterval).";
    return requestFailure("connection", "MESSAGE_EXPIRED", message);
  }
  if (facts.bytes > limits.maximumPacketSize) {
    return refused(
      149,
      "PACKET_TOO_LARGE",
      `The packet has ${facts.bytes} bytes, the server takes ${limits.maximumPacketSize} (Maximum Packet Size).`
    );
  }
  if (facts.kind === "publish") {
    if (facts.qos > limits.maximumQoS) {
      return refused(
        155,
        "QOS_NOT_SUPPORTED",
        `QoS ${facts.qos} was asked, the server takes QoS ${limits.maximumQoS} at most.`
      );
    }
    if (facts.retain && !limits.retainAvailable) {
      return refused(154, "RETAIN_NOT_SUPPORTED", "The server does not take retained messages.");
    }
    return null;
  }
  return facts.kind === "subscribe" ? refusalOfFilters(facts, limits) : null;
}
function refusalOfFilters(facts, limits) {
  for (const { topic } of facts.subscriptions) {
    if (!limits.sharedSubscriptionAvailable && topic.startsWith("$share/")) {
      const message = `The server has no shared subscriptions ("${topic}").`;
      return refused(158, "SHARED_SUBSCRIPTIONS_NOT_SUPPORTED", message);
    }
    if (!limits.wildcardSubscriptionAvailable && /[+#]/.test(topic)) {
      const message = `The server has no wildcard subscriptions ("${topic}").`;
      return refused(162, "WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED", message);
    }
  }
  if (!limits.subscriptionIdentifiersAvailable && facts.properties?.["subscriptionIdentifier"] !== void 0) {
    const message = "The server has no subscription identifiers.";
    return refused(161, "SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED", message);
  }
  return null;
}
function requestFailure(source, code, message) {
  return { phase: "request", source, code, retryable: source === "connection", message };
}
function refused(reasonCode, code, message) {
  return { phase: "request", source: "refused", code, retryable: false, message, reasonCode };
}

// src/protocol/subscriptions.ts
var RENEWAL_BYTES_MAX = 65536;
var MESSAGE_ID_BYTES = 2;
var FILTER_OVERHEAD_BYTES = 3;
function subscribed(d, facts, granted) {
  facts.subscriptions.forEach((subscription, i) => {
    const code = granted[i];
    if (code < 128) keep(d, subscription, facts.properties, code);
  });
}
function renewed(d, facts, granted) {
  facts.subscriptions.forEach(({ topic }, i) => {
    if (granted[i] >= 128) unrenewed(d, topic, "The server refused it.");
  });
}
function unrenewed(d, topic, why) {
  drop(d, topic);
  const message = `The subscription "${topic}" could not be renewed. ${why}`;
  d.effects.push({ type: "warn", code: "RENEWAL_REFUSED", message });
}
function unsubscribed(d, filters, codes) {
  filters.forEach((filter, i) => {
    if ((codes[i] ?? 0) < 128) drop(d, filter);
  });
}
function keep(d, subscription, properties, granted) {
  const key = hash(subscription.topic);
  const bucket = d.subscriptions.get(key) ?? [];
  const others = bucket.filter((held) => held.subscription.topic !== subscription.topic);
  if (others.length === bucket.length) d.session.subscriptionCount++;
  const order = d.session.nextOrder++;
  d.subscriptions.set(key, [...others, { subscription, properties, order, granted }]);
}
function drop(d, filter) {
  const key = hash(filter);
  const bucket = d.subscriptions.get(key) ?? [];
  const others = bucket.filter((held) => held.subscription.topic !== filter);
  if (others.length === bucket.length) return;
  d.session.subscriptionCount--;
  if (others.length > 0) d.subscriptions.set(key, others);
  else d.subscriptions.remove(key);
}
function subscriptionsOf(table) {
  return [...entries(table)].flatMap(([, bucket]) => bucket).sort((a, b) => a.order - b.order);
}
function subscriptionsIn({ subscriptions, properties }) {
  return subscriptions.map((subscription) => ({ subscription, properties }));
}
function restoreSubscriptions(saved) {
  const table = new TableEditor(emptyTable());
  for (const held of saved) {
    const key = hash(held.subscription.topic);
    table.set(key, [...table.get(key) ?? [], held]);
  }
  return table.finish();
}
function renewals(d, wanted) {
  const { limits } = d.connection;
  const limit = Math.min(limits.maximumPacketSize, RENEWAL_BYTES_MAX);
  const packets = [];
  for (const group of byProperties(wanted)) {
    const { properties } = group[0];
    const emptyBytes = MESSAGE_ID_BYTES + propertiesBytes(properties);
    let bytes = emptyBytes;
    let subscriptions = [];
    const flush2 = () => {
      if (subscriptions.length > 0) packets.push(renewal(subscriptions, properties, bytes));
      subscriptions = [];
      bytes = emptyBytes;
    };
    for (const { subscription } of group) {
      const size = FILTER_OVERHEAD_BYTES + utf8Bytes(subscription.topic);
      const refusal = refusalOf(renewal([subscription], properties, emptyBytes + size), limits, 0);
      if (refusal !== null) {
        unrenewed(d, subscription.topic, refusal.message);
        continue;
      }
      if (packetBytes2(bytes + size) > limit) flush2();
      subscriptions.push(subscription);
      bytes += size;
    }
    flush2();
  }
  return packets;
}
function renewal(subscriptions, properties, bodyBytes) {
  const bytes = packetBytes2(bodyBytes);
  return { kind: "subscribe", handle: 0, bytes, subscriptions, properties };
}
function byProperties(wanted) {
  const groups = /* @__PURE__ */ new Map();
  for (const held of wanted) {
    const key = JSON.stringify(held.properties ?? null);
    const group = groups.get(key);
    if (group) group.push(held);
    else groups.set(key, [held]);
  }
  return [...groups.values()];
}
function propertiesBytes(properties) {
  let bytes = 0;
  const identifier = properties?.["subscriptionIdentifier"];
  if (typeof identifier === "number") bytes += 1 + variableBytes(identifier);
  for (const [name, values] of Object.entries(properties?.["userProperties"] ?? {})) {
    for (const value of [values].flat()) bytes += 5 + utf8Bytes(name) + utf8Bytes(String(value));
  }
  return variableBytes(bytes) + bytes;
}
function packetBytes2(bodyBytes) {
  return 1 + variableBytes(bodyBytes) + bodyBytes;
}
function variableBytes(value) {
  return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}
function hash(filter) {
  let h = 2166136261;
  for (let i = 0; i < filter.length; i++) h = Math.imul(h ^ filter.charCodeAt(i), 16777619);
  return (h ^ h >>> 16) & 65535;
}
function utf8Bytes(text) {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    bytes += code < 128 ? 1 : code < 2048 || code >= 55296 && code < 57344 ? 2 : 3;
  }
  return bytes;
}

// src/session.ts
var Session = class {
  clientId;
  /** What the broker agreed to; 0: no CONNACK yet. */
  protocolVersion;
  /** Whether it was taken after the loop had ended. */
  final;
  /** @internal Null: it was read from a text or a disk. */
  parts;
  #made;
  /** @internal */
  constructor({ clientId, protocolVersion, final }, source) {
    this.clientId = clientId;
    this.protocolVersion = protocolVersion;
    this.final = final;
    this.parts = "parts" in source ? source.parts : null;
    this.#made = "parts" in source ? void 0 : source.record;
  }
  /** The requests that were taken and have no outcome yet, in their order: the same objects. */
  get held() {
    return this.record().held.filter(({ settled }) => !settled).map(({ request: request2 }) => request2);
  }
  /** @internal */
  record() {
    this.#made ??= recordOf(this.parts, this.final);
    return this.#made;
  }
};
function sessionOf(parts, final) {
  const { clientId, protocolVersion } = parts.state;
  return new Session({ clientId, protocolVersion, final }, { parts });
}
function recordOf(parts, final) {
  const { state, settling } = parts;
  const held = [];
  for (const [messageId, request2] of entries(state.open)) {
    held.push(...openRecords(parts, messageId, request2));
  }
  held.sort((a, b) => a.order - b.order);
  for (const request2 of state.waiting.slice(state.waitingAt)) {
    held.push(...waitingRecords(parts, request2));
  }
  return {
    ...numbersOf(state),
    final,
    held,
    received: [...entries(state.received)].map(([id, message]) => receivedRecord(id, message)),
    subscriptions: subscriptionsOf(state.subscriptions),
    settling: [...settling].map(([key, { ok }]) => [key, ok])
  };
}
function numbersOf(state) {
  const { clientId, protocolVersion, nextMessageId: nextMessageId2, nextOrder, nextDeliveryId } = state;
  const { cautiousBelow, adopted } = state;
  return {
    clientId,
    protocolVersion,
    nextMessageId: nextMessageId2,
    nextOrder,
    nextDeliveryId,
    cautiousBelow,
    adopted
  };
}
function openRecords(parts, messageId, { facts, stage, order, strikes, settled }) {
  const rest2 = { order, strikes, expiresAt: expiryOf(parts, facts), messageId, stage, settled };
  return requestsIn(parts.slots[facts.handle]).map((request2) => ({ ...rest2, request: request2 }));
}
function waitingRecords(parts, { facts, order, strikes }) {
  const rest2 = { order, strikes, expiresAt: expiryOf(parts, facts), messageId: 0, settled: false };
  const stage = "waiting";
  return requestsIn(parts.slots[facts.handle]).map((request2) => ({ ...rest2, stage, request: request2 }));
}
function expiryOf({ wallOffsetMs }, facts) {
  return facts.kind === "publish" && facts.expiresAt > 0 ? facts.expiresAt + wallOffsetMs : 0;
}
function receivedRecord(messageId, { deliveryId, stage, again }) {
  const arrived = stage === "arrived";
  return { messageId, deliveryId, stage: arrived ? "restored" : stage, again: again || arrived };
}
function requestsIn(slot) {
  if (slot === void 0) return [];
  return slot.kind === "group" ? slot.requests : [slot.request];
}
function restorable(record, random) {
  if (record.final) return record;
  return { ...record, received: [], nextMessageId: farFrom(record.nextMessageId, random) };
}
function farFrom(messageId, random) {
  const distance = 16384 + Math.floor(random * 32768);
  return (messageId + distance) % 65535 + 1;
}
function textual(request2) {
  const { signal, ...plain2 } = request2;
  if (plain2.cmd !== "publish") return plain2;
  const { payload: payload2, properties, ...rest2 } = plain2;
  return {
    ...rest2,
    ...payload2 === void 0 ? {} : { payload: bytesAsText(payload2) },
    ...properties === void 0 ? {} : {
      properties: {
        ...properties,
        ...properties.correlationData === void 0 ? {} : { correlationData: bytesAsText(properties.correlationData) }
      }
    }
  };
}
function bytesAsText(value) {
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString("base64") } : value;
}

// src/disk/database.ts
import { mkdir, readFile, rename, statfs, writeFile } from "node:fs/promises";
import { hostname, uptime } from "node:os";
import { join } from "node:path";
var RESERVE_BYTES = 48 << 20;
var GATHER_BYTES = 16 << 20;
var GATHER_BYTES_MIN = 64 << 10;
var GATHER_PART = 64;
var COPIES = 2;
var FORMAT = 1;
var ABOUT = "!about";
var OWNER = "owner.json";
var Database = class _Database {
  directory;
  /** It could not be opened as it was: what it holds was gathered anew. */
  repaired;
  #engine;
  #level;
  /** A write failed: what follows it in the same file might not be found again. */
  #ailing = false;
  /** Something was removed whose room LevelDB may not have given back. */
  #hasGarbage = true;
  #closed = false;
  constructor(directory, engine, level, repaired) {
    this.directory = directory;
    this.#engine = engine;
    this.#level = level;
    this.repaired = repaired;
  }
  /**
   * @param kind what the folder holds; one of another kind is refused.
   * @throws UsageError without the package `classic-level`, and for a folder of another kind.
   * @throws StorageError for a folder in use (`IN_USE`, naming the process), or where it cannot be made or read.
   */
  static async open(directory, kind) {
    if (typeof directory !== "string" || directory === "") {
      throw new UsageError(`${kind}: the path of a directory is expected`);
    }
    const engine = await engineOf(kind);
    try {
      await mkdir(join(directory, "data"), { recursive: true, mode: 448 });
    } catch (cause2) {
      throw failed(`${directory} cannot be made`, "OPEN_FAILED", cause2);
    }
    const { level, repaired } = await openOrRepair(engine, directory);
    const database = new _Database(directory, engine, level, repaired);
    try {
      await database.#claim(kind);
    } catch (error) {
      await level.close();
      throw error;
    }
    return database;
  }
  async #claim(kind) {
    const about = await this.get(ABOUT);
    if (about === void 0) {
      const value = Buffer.from(JSON.stringify({ "it-mqtt": kind, format: FORMAT }));
      await this.commit([{ type: "put", key: ABOUT, value }]);
    } else {
      const found = JSON.parse(Buffer.from(about).toString());
      if (found["it-mqtt"] !== kind || found.format !== FORMAT) {
        throw new UsageError(
          `${this.directory} holds a ${found["it-mqtt"]} of format ${found.format}, not a ${kind} of format ${FORMAT}`
        );
      }
    }
    const owner = { pid: process.pid, bootId: await bootId(), since: (/* @__PURE__ */ new Date()).toISOString() };
    const path = join(this.directory, OWNER);
    await writeFile(`${path}.tmp`, JSON.stringify(owner)).catch(() => {
    });
    await rename(`${path}.tmp`, path).catch(() => {
    });
  }
  /**
   * Resolves once all of it is on the disk. `adding`: bytes that are new; 0 for what only removes.
   * @throws StorageError, `DISK_FULL` (retryable) or `WRITE_FAILED`; then nothing of it is there.
   */
  async commit(operations, adding = 0) {
    if (this.#closed) throw closedError(this.directory);
    if (adding > 0) await this.#keepReserve(adding);
    try {
      if (this.#ailing) await this.#reopen();
      await this.#level.batch(operations, { sync: true });
      this.#hasGarbage ||= operations.some(({ type }) => type === "del");
    } catch (cause2) {
      this.#ailing = true;
      throw failed(`${this.directory} could not be written`, "WRITE_FAILED", cause2);
    }
  }
  async #keepReserve(adding) {
    if (await this.#hasRoom(adding)) return;
    if (this.#hasGarbage && !this.#ailing) {
      this.#hasGarbage = false;
      await this.#level.compactRange("", "~").catch(() => {
      });
      if (await this.#hasRoom(adding)) return;
    }
    const message = `The disk of ${this.directory} is full: what is free is kept for removals. Nothing of this was kept; make room and try again.`;
    throw new StorageError(message, { code: "DISK_FULL", retryable: true });
  }
  async #hasRoom(adding) {
    const { free, size } = await diskOf(this.directory);
    return free - adding * COPIES >= Math.min(RESERVE_BYTES, size / 4);
  }
  /** As long as this fails, nothing can be read or written. */
  async #reopen() {
    await this.#level.close();
    this.#level = await openLevel(this.#engine, this.directory);
    this.#ailing = false;
  }
  /** @throws StorageError */
  async get(key) {
    return this.#read(() => this.#level.get(key));
  }
  /** By ascending key, until `maxBytes` are reached; at least one, where there is one. */
  async range(range, maxBytes = Infinity) {
    return this.#read(async () => {
      const found = [];
      let bytes = 0;
      for await (const entry of this.#level.iterator(range)) {
        found.push(entry);
        bytes += entry[1].length;
        if (bytes >= maxBytes) break;
      }
      return found;
    });
  }
  async #read(read2) {
    if (this.#closed) throw closedError(this.directory);
    try {
      if (this.#level.status !== "open") await this.#reopen();
      return await read2();
    } catch (cause2) {
      throw failed(`${this.directory} could not be read`, "READ_FAILED", cause2);
    }
  }
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    await this.#level.close();
  }
};
async function diskOf(path) {
  try {
    const { bavail, blocks, bsize } = await statfs(path);
    return { free: bavail * bsize, size: blocks * bsize };
  } catch {
    return { free: Infinity, size: Infinity };
  }
}
async function engineOf(kind) {
  try {
    return (await import("classic-level")).ClassicLevel;
  } catch (cause2) {
    throw new UsageError(
      `${kind}: the package classic-level is needed to keep anything on disk: npm install classic-level@3`,
      { code: "NO_STORAGE_ENGINE", cause: cause2 }
    );
  }
}
async function openLevel(engine, directory) {
  const { size } = await diskOf(directory);
  const level = new engine(join(directory, "data"), {
    valueEncoding: "view",
    writeBufferSize: Math.max(GATHER_BYTES_MIN, Math.min(GATHER_BYTES, size / GATHER_PART))
  });
  await level.open();
  return level;
}
async function openOrRepair(engine, directory) {
  try {
    return { level: await openLevel(engine, directory), repaired: false };
  } catch (error) {
    const reason = rootOf(error);
    if (reason.code === "LEVEL_LOCKED") throw await inUse(directory, error);
    if (isFull(reason) || /permission|read-only/i.test(reason.message)) {
      throw failed(`${directory} cannot be opened`, "OPEN_FAILED", error);
    }
  }
  try {
    await engine.repair(join(directory, "data"));
    return { level: await openLevel(engine, directory), repaired: true };
  } catch (error) {
    throw failed(`${directory} is damaged and could not be repaired`, "DAMAGED", error);
  }
}
async function inUse(directory, cause2) {
  let who = "by another process";
  try {
    const { pid, bootId: bootId2, since } = JSON.parse(await readFile(join(directory, OWNER), "utf8"));
    who = `by process ${pid} (boot id ${bootId2}) since ${since}`;
  } catch {
  }
  const message = `${directory} is in use ${who}; end that one first, or give this one a directory of its own`;
  return new StorageError(message, { code: "IN_USE", retryable: true, cause: cause2 });
}
async function bootId() {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  } catch {
    return `${hostname()} since ${new Date(Date.now() - uptime() * 1e3).toISOString()}`;
  }
}
function rootOf(error) {
  let root = error;
  while (root.cause instanceof Error) root = root.cause;
  return root;
}
function isFull({ message, code }) {
  return code === "DISK_FULL" || /no space left|disk quota|file too large/i.test(message);
}
function failed(what, code, cause2) {
  if (cause2 instanceof StorageError) return cause2;
  const reason = rootOf(cause2);
  if (isFull(reason)) {
    const message = `${what}: the disk is full (${reason.message}). Make room and try again.`;
    return new StorageError(message, { code: "DISK_FULL", retryable: true, cause: cause2 });
  }
  return new StorageError(`${what}: ${reason.message}.`, { code, cause: cause2 });
}
function closedError(directory) {
  return new UsageError(`${directory} is closed`, { code: "CLOSED" });
}

// src/disk/growing.ts
import { createHash } from "node:crypto";
var CHECK_BYTES = 8;
var FIRST_BYTES = 16 << 10;
var KEEP_BYTES = 1 << 20;
var GrowingRecord = class {
  buffer = Buffer.allocUnsafe(FIRST_BYTES);
  at = CHECK_BYTES;
  /** Makes room for so many bytes at `at`. */
  reserve(bytes) {
    const needed = this.at + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
    larger.set(this.buffer.subarray(0, this.at));
    this.buffer = larger;
  }
  /** The record; this is empty again. */
  finish() {
    const record = Buffer.from(this.buffer.subarray(0, this.at));
    record.set(checkOf(record));
    this.at = CHECK_BYTES;
    if (this.buffer.length > KEEP_BYTES) this.buffer = Buffer.allocUnsafe(FIRST_BYTES);
    return record;
  }
};
function checked(view) {
  const record = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  const isWhole = record.length >= CHECK_BYTES;
  return isWhole && checkOf(record).equals(record.subarray(0, CHECK_BYTES)) ? record : null;
}
function checkOf(record) {
  return createHash("sha256").update(record.subarray(CHECK_BYTES)).digest().subarray(0, CHECK_BYTES);
}

// src/disk/journal.ts
var HEAD_BYTES = 2 + 4;
var GONE = 4294967295;
var JournalWriter = class {
  #record = new GrowingRecord();
  get bytes() {
    return this.#record.at;
  }
  add({ key, value }) {
    const record = this.#record;
    const valueRoom = typeof value === "string" ? value.length * 3 : value?.length ?? 0;
    record.reserve(HEAD_BYTES + key.length * 3 + valueRoom);
    const { buffer, at } = record;
    const keyBytes = buffer.write(key, at + HEAD_BYTES);
    const valueAt = at + HEAD_BYTES + keyBytes;
    let valueBytes = 0;
    if (typeof value === "string") valueBytes = buffer.write(value, valueAt);
    else if (value !== null) {
      buffer.set(value, valueAt);
      valueBytes = value.length;
    }
    buffer.writeUInt16LE(keyBytes, at);
    buffer.writeUInt32LE(value === null ? GONE : valueBytes, at + 2);
    record.at = valueAt + valueBytes;
  }
  /** The record; the writer is empty again. */
  finish() {
    return this.#record.finish();
  }
};
function replayJournal(view, records) {
  const journal = checked(view);
  if (journal === null) return false;
  let at = CHECK_BYTES;
  while (at < journal.length) {
    const keyBytes = journal.readUInt16LE(at);
    const valueBytes = journal.readUInt32LE(at + 2);
    const valueAt = at + HEAD_BYTES + keyBytes;
    const key = journal.toString("utf8", at + HEAD_BYTES, valueAt);
    at = valueAt + (valueBytes === GONE ? 0 : valueBytes);
    if (valueBytes === GONE) records.delete(key);
    else records.set(key, journal.subarray(valueAt, at));
  }
  return true;
}

// src/disk/records.ts
var FRAME_BYTES = 1 + 4 + 4 + 8;
var IS_JSON = 128;
var QOS = 3;
var HAS_QOS = 4;
var IS_RETAINED = 8;
var HAS_RETAIN = 16;
var HAS_PAYLOAD = 32;
var IS_TEXT = 64;
var RecordWriter = class {
  #record = new GrowingRecord();
  get bytes() {
    return this.#record.at;
  }
  /** `expiresAt`: wall clock in ms; 0: never. */
  add(request2, expiresAt) {
    const record = this.#record;
    const kind = kindOf(request2);
    const { text, payload: payload2 } = kind === IS_JSON ? jsonOf(request2) : plainParts(request2);
    const room2 = typeof payload2 === "string" ? payload2.length * 3 : payload2?.length ?? 0;
    record.reserve(FRAME_BYTES + text.length * 3 + room2);
    const { buffer, at } = record;
    const headBytes = buffer.write(text, at + FRAME_BYTES);
    const payloadAt = at + FRAME_BYTES + headBytes;
    let payloadBytes2 = 0;
    if (typeof payload2 === "string") payloadBytes2 = buffer.write(payload2, payloadAt);
    else if (payload2 !== void 0) {
      buffer.set(payload2, payloadAt);
      payloadBytes2 = payload2.length;
    }
    buffer[at] = kind === IS_JSON && payload2 !== void 0 ? IS_JSON | HAS_PAYLOAD : kind;
    buffer.writeUInt32LE(headBytes, at + 1);
    buffer.writeUInt32LE(payloadBytes2, at + 5);
    buffer.writeDoubleLE(expiresAt, at + 9);
    record.at = payloadAt + payloadBytes2;
  }
  /** The record; the writer is empty again. */
  finish() {
    return this.#record.finish();
  }
};
function readRecord(view, take2) {
  const record = checked(view);
  if (record === null) return false;
  const topics2 = new Topics(record);
  let at = CHECK_BYTES;
  while (at < record.length) {
    const kind = record[at];
    const headAt = at + FRAME_BYTES;
    const payloadAt = headAt + record.readUInt32LE(at + 1);
    const end = payloadAt + record.readUInt32LE(at + 5);
    const expiresAt = record.readDoubleLE(at + 9);
    const payload2 = (kind & HAS_PAYLOAD) === 0 ? void 0 : (kind & IS_TEXT) !== 0 ? record.toString("utf8", payloadAt, end) : Buffer.from(record.subarray(payloadAt, end));
    if ((kind & IS_JSON) === 0)
      take2(plainOf(kind, topics2.at(headAt, payloadAt), payload2), expiresAt);
    else {
      const request2 = JSON.parse(record.toString("utf8", headAt, payloadAt));
      if (payload2 !== void 0) request2.payload = payload2;
      take2(request2, expiresAt);
    }
    at = end;
  }
  return true;
}
function kindOf(request2) {
  if (request2.cmd !== "publish") return IS_JSON;
  const { payload: payload2, qos, retain, properties, key } = request2;
  const isText = typeof payload2 === "string";
  if (properties !== void 0 || key !== void 0) return IS_JSON;
  if (payload2 !== void 0 && !isText && !isBytes(payload2)) return IS_JSON;
  let kind = 0;
  if (qos !== void 0) kind |= HAS_QOS | qos;
  if (retain !== void 0) kind |= retain ? HAS_RETAIN | IS_RETAINED : HAS_RETAIN;
  if (payload2 !== void 0) kind |= isText ? HAS_PAYLOAD | IS_TEXT : HAS_PAYLOAD;
  return kind;
}
function plainOf(kind, topic, payload2) {
  const qos = (kind & HAS_QOS) === 0 ? void 0 : kind & QOS;
  const retain = (kind & HAS_RETAIN) === 0 ? void 0 : (kind & IS_RETAINED) !== 0;
  return { cmd: "publish", topic, payload: payload2, qos, retain };
}
function jsonOf(request2) {
  const { payload: payload2, ...rest2 } = request2;
  if (!isBytes(payload2)) return { text: JSON.stringify(textual(request2)), payload: void 0 };
  return { text: JSON.stringify(textual(rest2)), payload: payload2 };
}
function plainParts({ topic, payload: payload2 }) {
  return { text: topic, payload: payload2 };
}
var Topics = class {
  #record;
  #start = 0;
  #end = 0;
  #topic = "";
  constructor(record) {
    this.#record = record;
  }
  at(start, end) {
    const record = this.#record;
    if (end - start === this.#end - this.#start && end > start) {
      if (record.compare(record, this.#start, this.#end, start, end) === 0) return this.#topic;
    }
    this.#topic = record.toString("utf8", start, end);
    this.#start = start;
    this.#end = end;
    return this.#topic;
  }
};

// src/disk/session.ts
var HEAD = "head";
var SUBSCRIPTIONS = "subscriptions";
var OPEN = "o";
var WAITING = "w";
var REQUEST = "q";
var RECEIVED = "m";
var SETTLING = "s";
var NO_REQUESTS = emptyTable();
var NOTHING = Buffer.from("[]");
var ALL = { gte: "j", lt: "k" };
var JOURNAL_BYTES = 4 << 20;
var READ_BYTES = 8 << 20;
var RECORD_BYTES = 1 << 20;
var DiskSession = class {
  #directory;
  /** Null: closed; a later `load` opens it again. */
  #database;
  /** What is on disk. Null: nobody has compared yet. */
  #kept = null;
  /** Journals on disk: from, up to before; and their size. */
  #first = 0;
  #next = 0;
  #bytes = 0;
  /** Of the session, when it was last written whole. */
  #wholeBytes = 0;
  #requests = new RecordWriter();
  #writer = new JournalWriter();
  constructor(directory, database) {
    this.#directory = directory;
    this.#database = database;
  }
  async load() {
    this.#database ??= await Database.open(this.#directory, KIND);
    this.#kept = null;
    const records = await this.#replay(this.#database);
    const head = records.get(HEAD);
    if (head === void 0) return null;
    const record = {
      ...read(head),
      final: true,
      held: heldOf(records),
      received: listOf2(records, RECEIVED),
      subscriptions: read(records.get(SUBSCRIPTIONS) ?? NOTHING),
      settling: listOf2(records, SETTLING)
    };
    return new Session(record, { record });
  }
  /** @throws StorageError for a journal that is damaged: what it said cannot be guessed. */
  async #replay(database) {
    const records = /* @__PURE__ */ new Map();
    let after = ALL.gte;
    for (; ; ) {
      const journals = await database.range({ gt: after, lt: ALL.lt }, READ_BYTES);
      const last = journals.at(-1);
      if (last === void 0) return records;
      for (const [key, journal] of journals) {
        if (replayJournal(journal, records)) continue;
        throw new StorageError(
          `The session in ${this.#directory} is damaged (${key}); move the directory away to begin a new one`,
          { code: "DAMAGED" }
        );
      }
      after = last[0];
      if (this.#next === 0) this.#first = numberOf(journals[0][0]);
      this.#next = numberOf(after) + 1;
    }
  }
  async commit(session2) {
    const parts = session2.parts;
    const outgrown = this.#bytes > Math.max(JOURNAL_BYTES, 4 * this.#wholeBytes);
    const whole2 = this.#kept === null || outgrown;
    const changes = this.#changes(whole2 ? null : this.#kept, parts);
    const journals = this.#journalsOf(changes);
    const added = journals.reduce((sum, { length }) => sum + length, 0);
    const next = this.#next + journals.length;
    const operations = journals.map((value, i) => {
      return { type: "put", key: keyOf(this.#next + i), value };
    });
    if (whole2) for (let i = this.#first; i < this.#next; i++) operations.push(del(keyOf(i)));
    await this.#database.commit(operations, added);
    if (whole2) this.#first = this.#next;
    this.#next = next;
    this.#bytes = whole2 ? added : this.#bytes + added;
    if (whole2) this.#wholeBytes = added;
    this.#kept = parts;
  }
  #journalsOf(changes) {
    const journals = [];
    for (const change of changes) {
      this.#writer.add(change);
      if (this.#writer.bytes > RECORD_BYTES) journals.push(this.#writer.finish());
    }
    journals.push(this.#writer.finish());
    return journals;
  }
  async close() {
    const database = this.#database;
    this.#database = null;
    await database?.close();
  }
  #changes(before, now) {
    const { state } = now;
    const operations = [put(HEAD, numbersOf(state))];
    const requests = new Requests(this.#requests);
    for (const [id, was, is] of differences(before?.state.open ?? NO_REQUESTS, state.open)) {
      const [old] = was === void 0 ? [] : openRecords(before, id, was);
      const [held] = is === void 0 ? [] : openRecords(now, id, is);
      if (old !== void 0) requests.remove(old.order);
      if (held === void 0) {
        if (old !== void 0) operations.push(gone(OPEN, id));
        continue;
      }
      requests.add(held.order, [held]);
      operations.push(put(nameOf(OPEN, id), progressOf(held)));
    }
    this.#waitingChanges(before, now, requests, operations);
    const received2 = before?.state.received ?? emptyTable();
    for (const [id, , message] of differences(received2, state.received)) {
      if (message === void 0) operations.push(gone(RECEIVED, id));
      else operations.push(put(nameOf(RECEIVED, id), receivedRecord(id, message)));
    }
    if (before?.state.subscriptions !== state.subscriptions) {
      operations.push(put(SUBSCRIPTIONS, subscriptionsOf(state.subscriptions)));
    }
    this.#settlingChanges(before, now, operations);
    requests.finish(operations);
    return operations;
  }
  #waitingChanges(before, now, requests, operations) {
    const was = waitingOf(before);
    const is = waitingOf(now);
    for (const [order, request2] of was) {
      if (is.get(order) === request2) continue;
      requests.remove(order);
      if (!is.has(order)) operations.push(gone(WAITING, order));
    }
    for (const [order, request2] of is) {
      if (was.get(order) === request2) continue;
      const held = waitingRecords(now, request2);
      if (held.length === 0) continue;
      requests.add(order, held);
      operations.push(put(nameOf(WAITING, order), progressOf(held[0])));
    }
  }
  #settlingChanges(before, now, operations) {
    const was = before?.settling ?? /* @__PURE__ */ new Map();
    const is = now.settling;
    if (was === is) return;
    for (const key of was.keys()) if (!is.has(key)) operations.push(gone(SETTLING, key));
    for (const [key, { ok }] of is) {
      if (was.get(key)?.ok !== ok) operations.push(put(nameOf(SETTLING, key), [key, ok]));
    }
  }
};
var Requests = class {
  #writer;
  #removed = /* @__PURE__ */ new Set();
  #added = /* @__PURE__ */ new Map();
  constructor(writer) {
    this.#writer = writer;
  }
  remove(order) {
    this.#removed.add(order);
  }
  add(order, held) {
    this.#added.set(order, held);
  }
  finish(operations) {
    for (const order of this.#removed) {
      if (!this.#added.has(order)) operations.push(gone(REQUEST, order));
    }
    for (const [order, held] of this.#added) {
      if (this.#removed.has(order)) continue;
      for (const { request: request2 } of held) this.#writer.add(request2, 0);
      operations.push({ key: nameOf(REQUEST, order), value: this.#writer.finish() });
    }
  }
};
function waitingOf(parts) {
  const { waiting, waitingAt } = parts?.state ?? { waiting: [], waitingAt: 0 };
  return new Map(waiting.slice(waitingAt).map((request2) => [request2.order, request2]));
}
function progressOf({ request: request2, ...progress }) {
  return progress;
}
function heldOf(records) {
  const held = [OPEN, WAITING].flatMap(
    (kind) => listOf2(records, kind).flatMap((progress) => {
      const record = records.get(nameOf(REQUEST, progress.order)) ?? Buffer.alloc(0);
      const requests = [];
      readRecord(record, (request2) => requests.push({ ...progress, request: request2 }));
      return requests;
    })
  );
  return held.sort((a, b) => a.order - b.order);
}
function listOf2(records, kind) {
  const found = [];
  for (const [key, value] of records) {
    if (key.startsWith(kind) && key[kind.length] === " ") found.push(read(value));
  }
  return found;
}
function nameOf(kind, id) {
  return `${kind} ${typeof id === "string" ? JSON.stringify(id) : id}`;
}
function put(key, value) {
  return { key, value: JSON.stringify(value) };
}
function gone(kind, id) {
  return { key: nameOf(kind, id), value: null };
}
function del(key) {
  return { type: "del", key };
}
function keyOf(journal) {
  return `j${journal.toString(16).padStart(14, "0")}`;
}
function numberOf(key) {
  return Number.parseInt(key.slice(1), 16);
}
function read(value) {
  return JSON.parse(value.toString());
}
var KIND = "session";
async function openSession(directory) {
  return new DiskSession(directory, await Database.open(directory, KIND));
}

// src/disk/requests.ts
function textBytes(value) {
  return value === void 0 ? 0 : JSON.stringify(value).length;
}
function bytesOf(request2) {
  if (request2.cmd !== "publish") return textBytes(request2);
  const { topic, payload: payload2, properties } = request2;
  const topicBytes = typeof topic === "string" ? topic.length : 0;
  return topicBytes + payloadBytes(payload2) + textBytes(properties);
}
function payloadBytes(payload2) {
  if (payload2 === void 0) return 0;
  if (typeof payload2 === "string") return Buffer.byteLength(payload2);
  return isBytes(payload2) ? payload2.length : textBytes(payload2);
}
function expiryOf2(request2, now) {
  if (request2.cmd !== "publish" || request2.properties === void 0) return 0;
  const { messageExpiryInterval } = request2.properties;
  return typeof messageExpiryInterval === "number" ? now() + messageExpiryInterval * 1e3 : 0;
}
var USUAL = /* @__PURE__ */ new Set(["cmd", "topic", "payload", "qos", "retain", "properties"]);
function named(request2, key) {
  if (request2.cmd !== "publish") return Object.assign({}, request2, { key });
  for (const name in request2) if (!USUAL.has(name)) return Object.assign({}, request2, { key });
  const { cmd, topic, payload: payload2, qos, retain, properties } = request2;
  const usual = properties === void 0 ? { cmd, topic, payload: payload2, qos, retain, key } : { cmd, topic, payload: payload2, qos, retain, properties, key };
  return usual;
}
function aged(request2, expiresAt, now) {
  const messageExpiryInterval = Math.ceil((expiresAt - now) / 1e3);
  const { properties } = request2;
  return { ...request2, properties: { ...properties, messageExpiryInterval } };
}

// src/disk/chunks.ts
var Chunk = class {
  /** Number of its first request. */
  first;
  /** Null: it has its outcome. */
  requests = [];
  /** Their bytes. */
  sizes = [];
  /** When each of them expires, wall clock in ms; 0: never. Null: none does. */
  expiries = null;
  /** Requests without an outcome. */
  left = 0;
  /** Whether it is, or is about to be, on disk. */
  kept;
  constructor(first, kept) {
    this.first = first;
    this.kept = kept;
  }
  get last() {
    return this.first + this.requests.length - 1;
  }
  add(request2, bytes, expiresAt) {
    if (expiresAt > 0) {
      this.expiries ??= this.requests.map(() => 0);
      this.expiries[this.requests.length] = expiresAt;
    }
    this.requests.push(request2);
    this.sizes.push(bytes);
    this.left++;
  }
  expiryAt(index) {
    return this.expiries?.[index] ?? 0;
  }
  /** Bytes of those without an outcome. */
  get bytes() {
    return this.requests.reduce(
      (sum, request2, i) => request2 === null ? sum : sum + this.sizes[i],
      0
    );
  }
  /** It has its outcome now: its bytes; -1: it had, or is not here. */
  settle(key) {
    const index = key - this.first;
    if ((this.requests[index] ?? null) === null) return -1;
    this.requests[index] = null;
    this.left--;
    return this.sizes[index];
  }
  /** Which requests have their outcome: one bit each. */
  marks() {
    const bits = Buffer.alloc(Math.ceil(this.requests.length / 8));
    this.requests.forEach((request2, i) => {
      if (request2 === null) bits[i >>> 3] |= 1 << (i & 7);
    });
    return bits;
  }
  /** Takes marks over. */
  mark(bits) {
    for (let i = 0; i < this.requests.length; i++) {
      if (((bits[i >>> 3] ?? 0) & 1 << (i & 7)) !== 0) this.settle(this.first + i);
    }
  }
};
var Chunks = class {
  #chunks = [];
  /** What is handed out next. */
  #chunkAt = 0;
  #requestAt = 0;
  /** Of requests that were not handed out. */
  #waitingBytes = 0;
  /** In which the last one was found: the next one is as a rule there too. */
  #hint = null;
  /** What the requests that were not handed out take in memory, about. */
  get waitingBytes() {
    return this.#waitingBytes;
  }
  get last() {
    return this.#chunks[this.#chunks.length - 1];
  }
  /** Those that are only here, with something left in them. */
  get unkept() {
    return this.#chunks.filter(({ kept, left }) => !kept && left > 0);
  }
  push(chunk) {
    const last = this.last;
    if (last?.left === 0) this.forget(last, true);
    this.#chunks.push(chunk);
    this.#waitingBytes += memoryOf(chunk);
  }
  /** A request of so many bytes was added to the last chunk. */
  added(bytes) {
    this.#waitingBytes += bytes + REQUEST_BYTES;
  }
  /** The oldest that were not handed out and have no outcome, at most `max`. */
  take(max, now) {
    const batch = [];
    const expired = [];
    while (batch.length < max && this.#chunkAt < this.#chunks.length) {
      const chunk = this.#chunks[this.#chunkAt];
      const { requests, sizes, expiries } = chunk;
      while (batch.length < max && this.#requestAt < requests.length) {
        const at = this.#requestAt++;
        const request2 = requests[at];
        if (request2 === null) continue;
        this.#waitingBytes -= sizes[at] + REQUEST_BYTES;
        const key = chunk.first + at;
        const expiresAt = expiries === null ? 0 : chunk.expiryAt(at);
        if (expiresAt > 0 && expiresAt <= now) {
          expired.push(key);
          continue;
        }
        const fresh = expiresAt === 0 ? request2 : aged(request2, expiresAt, now);
        const handed = fresh.key === key ? fresh : named(fresh, key);
        requests[at] = handed;
        batch.push(handed);
      }
      if (this.#requestAt < requests.length || chunk === this.last) break;
      this.#chunkAt++;
      this.#requestAt = 0;
    }
    return { batch, expired };
  }
  /** All that has no outcome is to be handed out again. */
  rewind() {
    this.#chunkAt = 0;
    this.#requestAt = 0;
    this.#waitingBytes = this.#chunks.reduce((sum, chunk) => sum + memoryOf(chunk), 0);
  }
  /** The chunk that holds this key. */
  find(key) {
    const hint = this.#hint;
    if (hint !== null && key >= hint.first && key <= hint.last) return hint;
    const found = this.#chunks[this.#indexOf(key)];
    this.#hint = found ?? null;
    return found;
  }
  /** Nothing is left in it. The last one may still grow. */
  forget(chunk, evenLast = false) {
    if (chunk === this.last && !evenLast) return;
    const index = this.#chunks.indexOf(chunk);
    if (index < 0) return;
    if (this.#hint === chunk) this.#hint = null;
    this.#chunks.splice(index, 1);
    if (index < this.#chunkAt) this.#chunkAt--;
    else if (index === this.#chunkAt) this.#requestAt = 0;
  }
  /** By halving: their numbers ascend. */
  #indexOf(key) {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low <= high) {
      const middle = low + high >>> 1;
      const chunk = this.#chunks[middle];
      if (key < chunk.first) high = middle - 1;
      else if (key > chunk.last) low = middle + 1;
      else return middle;
    }
    return -1;
  }
};
var REQUEST_BYTES = 300;
function memoryOf({ bytes, left }) {
  return bytes + left * REQUEST_BYTES;
}

// src/disk/reader.ts
var DONE = { done: true, value: void 0 };
var Reader = class {
  #stock;
  #asking = [];
  #error = null;
  #over = false;
  #providing = false;
  constructor(stock) {
    this.#stock = stock;
  }
  next() {
    const asked = new Promise((resolve, reject) => {
      this.#asking.push({ resolve, reject });
    });
    this.provide();
    return asked;
  }
  async return() {
    this.#finish();
    return DONE;
  }
  /** Something changed: answers those who ask, as far as there is something for them. */
  provide() {
    if (this.#providing || this.#asking.length === 0) return;
    this.#providing = true;
    try {
      while (this.#asking.length > 0) {
        const batch = this.#error === null && !this.#over ? this.#stock.take() : null;
        if (batch !== null) this.#asking.shift().resolve({ done: false, value: batch });
        else if (this.#error !== null) this.#throwOnce(this.#error.thrown);
        else if (this.#over || this.#stock.isOver()) this.#finish();
        else return;
      }
    } finally {
      this.#providing = false;
    }
  }
  /** The iteration ends with this, for whoever asks next. */
  fail(thrown) {
    this.#error ??= { thrown };
    this.provide();
  }
  #throwOnce(thrown) {
    const [first] = this.#asking.splice(0, 1);
    this.#error = null;
    this.#finish();
    first.reject(thrown);
  }
  #finish() {
    if (!this.#over) this.#stock.left();
    this.#over = true;
    const asking = this.#asking;
    this.#asking = [];
    for (const { resolve } of asking) resolve(DONE);
  }
};

// src/disk/shelf.ts
var RECORD_BYTES2 = 256 << 10;
var RECORD_REQUESTS = 1024;
var READ_BYTES2 = 512 << 10;
var RETRY_MS = 1e3;
var GAP = 2 ** 20;
var NUMBERS_PER_MS = 1024;
var RECORD = "r";
var MARKS = "m";
var TOTALS = "t";
var Shelf = class _Shelf {
  #database;
  #listener;
  #last;
  /** On disk, without an outcome. */
  #size;
  #bytes;
  #gathered = [];
  #writers = [];
  /** Chunks that changed since the last commit. */
  #changed = /* @__PURE__ */ new Set();
  #removal = null;
  #committing = null;
  #retry = null;
  #closed = false;
  constructor(database, { last, size, bytes }, listener) {
    this.#database = database;
    this.#listener = listener;
    this.#last = last;
    this.#size = size;
    this.#bytes = bytes;
  }
  static async open(directory, listener) {
    const database = await Database.open(directory, "spool");
    try {
      const stored = database.repaired ? void 0 : await database.get(TOTALS);
      const totals = stored === void 0 ? await countAll(database) : JSON.parse(Buffer.from(stored).toString());
      return new _Shelf(database, totals, listener);
    } catch (error) {
      await database.close();
      throw error;
    }
  }
  get directory() {
    return this.#database.directory;
  }
  get size() {
    return this.#size;
  }
  get bytes() {
    return this.#bytes;
  }
  /** The highest number that was given. */
  get last() {
    return this.#last;
  }
  /** Something is on its way to disk. */
  get isBusy() {
    return this.#committing !== null || this.#gathered.length > 0;
  }
  /** The first number of this life, above all of earlier ones. */
  begin(now) {
    this.#last = Math.max(this.#last + GAP, now * NUMBERS_PER_MS);
  }
  /** A number that was never given. */
  number() {
    return ++this.#last;
  }
  /** @throws what `JSON.stringify` throws. */
  add(request2, bytes, expiresAt, waiter) {
    let gathered = this.#gathered.at(-1);
    if (gathered === void 0 || gathered.writer.bytes > RECORD_BYTES2 || gathered.chunk.requests.length >= RECORD_REQUESTS) {
      const writer = this.#writers.pop() ?? new RecordWriter();
      gathered = { chunk: new Chunk(this.#last + 1, true), writer, waiters: /* @__PURE__ */ new Set() };
      this.#gathered.push(gathered);
    }
    gathered.writer.add(request2, expiresAt);
    gathered.chunk.add(request2, bytes, expiresAt);
    this.#last++;
    if (gathered.waiters.has(waiter)) return;
    gathered.waiters.add(waiter);
    waiter.waits();
  }
  /** A request of a chunk on disk has its outcome. Resolves once the disk knows. */
  settled(chunk, bytes) {
    this.#size--;
    this.#bytes -= bytes;
    this.#changed.add(chunk);
    this.#removal ??= removal();
    const { promise } = this.#removal;
    this.commit();
    return promise;
  }
  /** The next records, of requests with numbers above `after`; none: there is nothing. A damaged one is set aside. */
  async read(after) {
    const range = { gt: keyOf2(RECORD, after), lt: `${RECORD}~` };
    const found = await this.#database.range(range, READ_BYTES2);
    const chunks = [];
    for (const [key, value] of found) {
      const chunk = await chunkOf(this.#database, numberOf2(key), value);
      if (chunk === null) await this.#setAside(key, value);
      else chunks.push(chunk);
    }
    const onlyDamaged = found.length > 0 && chunks.length === 0;
    return onlyDamaged ? this.read(after) : chunks;
  }
  async #setAside(key, value) {
    await this.#database.commit([
      { type: "put", key: `x${key}`, value: Buffer.from(value) },
      { type: "del", key }
    ]);
    const message = `A record of ${this.directory} is damaged: up to ${RECORD_REQUESTS} queued requests are lost. It was set aside.`;
    this.#listener.warn({ code: "RECORD_DAMAGED", message });
  }
  // ------------------------------------------------------------------------------------------------------------ commits
  /** Soon, together with what comes in the same burst. */
  commit() {
    if (this.#committing !== null || this.#retry !== null || this.#closed) return;
    if (this.#gathered.length === 0 && this.#changed.size === 0) return;
    this.#committing = Promise.resolve().then(() => this.#commit([]));
  }
  /** `last`: chunks that were only in memory. Null: all of it is on disk. */
  async #commit(last) {
    const gathered = this.#gathered;
    const changed = this.#changed;
    const removal2 = this.#removal;
    this.#gathered = [];
    this.#changed = /* @__PURE__ */ new Set();
    this.#removal = null;
    const records = [...gathered.map((one) => this.#recordOf(one)), ...last.flatMap(unkeptRecords)];
    const added = [...gathered.map(({ chunk }) => chunk), ...last];
    const operations = [...[...changed].flatMap(changesOf), ...records, this.#totals(added)];
    const failure2 = await this.#write(operations, sizeOf(records));
    this.#committing = null;
    for (const { chunk } of gathered) this.#conclude(chunk, failure2);
    for (const { waiters } of gathered) for (const waiter of waiters) waiter.done(failure2);
    if (failure2 === null) removal2?.resolve();
    else this.#changeLater(changed, removal2, failure2, gathered.length > 0);
    this.#listener.committed();
    this.commit();
    return failure2;
  }
  #recordOf({ chunk, writer }) {
    const value = writer.finish();
    this.#writers.push(writer);
    return { type: "put", key: keyOf2(RECORD, chunk.first), value };
  }
  async #write(operations, adding) {
    try {
      await this.#database.commit(operations, adding);
      return null;
    } catch (error) {
      if (error instanceof StorageError) return error;
      throw error;
    }
  }
  #conclude(chunk, failure2) {
    if (failure2 !== null) return this.#listener.lost(chunk);
    this.#size += chunk.left;
    this.#bytes += chunk.bytes;
    this.#listener.kept(chunk);
  }
  #totals(added) {
    const totals = {
      last: this.#last,
      size: added.reduce((sum, { left }) => sum + left, this.#size),
      bytes: added.reduce((sum, { bytes }) => sum + bytes, this.#bytes)
    };
    return { type: "put", key: TOTALS, value: Buffer.from(JSON.stringify(totals)) };
  }
  /** With the next commit. `adding`: what was new may be what had no room, so the next one may succeed. */
  #changeLater(changed, removal2, failure2, adding) {
    for (const chunk of changed) this.#changed.add(chunk);
    const next = this.#removal;
    if (next === null) this.#removal = removal2;
    else if (removal2 !== null) next.promise.then(() => removal2.resolve());
    if (adding || changed.size === 0) return;
    this.#listener.warn(failure2);
    if (this.#closed) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.commit();
    }, RETRY_MS).unref();
  }
  /**
   * Lets the directory go. `last`: chunks that were only in memory.
   * @throws StorageError where not everything could be kept.
   */
  async close(last) {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    try {
      await this.#committing;
      const failure2 = await this.#commit(last);
      if (failure2 !== null) throw failure2;
    } finally {
      await this.#database.close();
    }
  }
};
async function countAll(database) {
  let totals = { last: 0, size: 0, bytes: 0 };
  for (; ; ) {
    const range = { gt: keyOf2(RECORD, totals.last), lt: `${RECORD}~` };
    const found = await database.range(range, READ_BYTES2);
    if (found.length === 0) return totals;
    for (const [key, value] of found) {
      const first = numberOf2(key);
      const chunk = await chunkOf(database, first, value);
      totals = {
        last: Math.max(first, chunk?.last ?? 0),
        size: totals.size + (chunk?.left ?? 0),
        bytes: totals.bytes + (chunk?.bytes ?? 0)
      };
    }
  }
}
async function chunkOf(database, first, record) {
  const chunk = new Chunk(first, true);
  const isWhole = readRecord(record, (request2, expiresAt) => {
    chunk.add(request2, bytesOf(request2), expiresAt);
  });
  if (!isWhole) return null;
  const marks = await database.get(keyOf2(MARKS, first));
  if (marks !== void 0) chunk.mark(marks);
  return chunk;
}
function changesOf(chunk) {
  if (chunk.left > 0) return [marksOf(chunk)];
  return [RECORD, MARKS].map((kind) => ({ type: "del", key: keyOf2(kind, chunk.first) }));
}
function unkeptRecords(chunk) {
  const writer = new RecordWriter();
  chunk.requests.forEach((request2, i) => {
    writer.add(request2 ?? SETTLED, chunk.expiryAt(i));
  });
  const record = { type: "put", key: keyOf2(RECORD, chunk.first), value: writer.finish() };
  return chunk.left < chunk.requests.length ? [record, marksOf(chunk)] : [record];
}
var SETTLED = { cmd: "unsubscribe", unsubscriptions: [] };
function marksOf(chunk) {
  return { type: "put", key: keyOf2(MARKS, chunk.first), value: chunk.marks() };
}
function sizeOf(operations) {
  return operations.reduce((sum, one) => sum + (one.type === "put" ? one.value.length : 0), 0);
}
function keyOf2(kind, number) {
  return kind + number.toString(16).padStart(14, "0");
}
function numberOf2(key) {
  return Number.parseInt(key.slice(1), 16);
}
function removal() {
  let resolve;
  const promise = new Promise((settle2) => {
    resolve = settle2;
  });
  return { promise, resolve };
}

// src/disk/spool-options.ts
var NAMES = ["mode", "maxBytes", "maxMessages", "overflow", "onSettled", "onWarning"];
function resolveSpool(options2) {
  for (const name of Object.keys(options2)) {
    if (NAMES.includes(name)) continue;
    throw new UsageError(`spool has no option ${describe(name)}; allowed: ${NAMES.join(", ")}`);
  }
  const { mode: mode2 = "durable", overflow = "wait", onSettled, onWarning } = options2;
  judgeWord("mode", mode2, ["durable", "spill"]);
  judgeWord("overflow", overflow, ["wait", "reject", "dropOldest", "dropNewest"]);
  const { maxBytes = Infinity, maxMessages = Infinity } = options2;
  for (const [name, bound] of Object.entries({ maxBytes, maxMessages })) {
    if (typeof bound === "number" && bound >= 1) continue;
    throw wrong(`spool: ${name}`, bound, "a number of 1 or more");
  }
  for (const [name, listener] of Object.entries({ onSettled, onWarning })) {
    if (listener !== void 0 && typeof listener !== "function") {
      throw wrong(`spool: ${name}`, listener, "a function");
    }
  }
  return {
    mode: mode2,
    maxBytes,
    maxMessages,
    overflow,
    ...onSettled === void 0 ? {} : { onSettled },
    ...onWarning === void 0 ? {} : { onWarning }
  };
}
function judgeWord(name, given, allowed) {
  if (allowed.includes(given)) return;
  throw wrong(`spool: ${name}`, given, `one of ${allowed.join(", ")}`);
}

// src/disk/spool.ts
var BATCH = 128;
var MEMORY_BYTES = 4 << 20;
var CHUNK_REQUESTS = 1024;
var RETRY_MS2 = 1e3;
var ONE = Promise.resolve(1);
var Spool = class _Spool {
  replays = true;
  #options;
  #chunks = new Chunks();
  #shelf;
  /** Without an outcome. */
  #size = 0;
  #bytes = 0;
  /** Numbers up to this one are in memory or gone… */
  #readThrough = 0;
  /** …and those up to this one are on disk, or were in memory. */
  #keptThrough = 0;
  #reading = false;
  #queue = [];
  #reader = null;
  #retry = null;
  #ended = false;
  #closing = null;
  constructor(options2) {
    this.#options = options2;
  }
  /** @internal */
  static async open(directory, options2) {
    const opened3 = new _Spool(resolveSpool(options2));
    await opened3.#open(directory);
    return opened3;
  }
  async #open(directory) {
    const shelf = await Shelf.open(directory, {
      kept: (chunk) => this.#kept(chunk),
      lost: (chunk) => {
        this.#size -= chunk.left;
        this.#bytes -= chunk.bytes;
      },
      committed: () => {
        this.#reader?.provide();
        this.#admit();
      },
      warn: ({ code, message }) => this.#options.onWarning?.({ code, message })
    });
    this.#shelf = shelf;
    this.#size = shelf.size;
    this.#bytes = shelf.bytes;
    this.#keptThrough = shelf.last;
    shelf.begin(Date.now());
  }
  /** Requests without an outcome, those that a loop has in hand included. */
  get size() {
    return this.#size;
  }
  /** Bytes of their topics, payloads, filters and properties. */
  get bytes() {
    return this.#bytes;
  }
  /**
   * Resolves with how many of them were accepted (all, unless `overflow` drops) once these are safe: `durable`, on disk;
   * `spill`, in memory or on disk. In `spill` mode a wrong request is not refused here: that is its outcome.
   *
   * @throws UsageError for a request that is wrong (then none of them is accepted), or after `end`.
   * @throws StorageError where the disk is full or fails (`retryable` tells), or the spool is (`SPOOL_FULL`).
   */
  push(requests) {
    try {
      if (this.#ended) throw new UsageError("spool: it was ended or closed, nothing can be pushed");
      if (!Array.isArray(requests)) return this.#pushOne(requests);
      for (const [i, request2] of requests.entries()) this.#judge(request2, i);
      if (this.#options.overflow === "reject" && !this.#fits(...sizesOf(requests))) {
        throw this.#full();
      }
      return this.#enqueue(requests);
    } catch (error) {
      return Promise.reject(error);
    }
  }
  #pushOne(request2) {
    this.#judge(request2, -1);
    const bytes = bytesOf(request2);
    const fits = this.#fits(1, bytes);
    if (!fits && this.#options.overflow === "reject") throw this.#full();
    if (!fits || this.#queue.length > 0 || !this.#staysInMemory()) return this.#enqueue([request2]);
    this.#remember(request2, bytes);
    this.#reader?.provide();
    return ONE;
  }
  #enqueue(requests) {
    const push = new Push(requests);
    this.#queue.push(push);
    this.#admit();
    return push.accepted;
  }
  /** No more will be pushed: a loop that iterates this ends once everything has its outcome. */
  end() {
    this.#ended = true;
    this.#reader?.provide();
  }
  /**
   * Keeps what is not on disk yet, ends the iteration, and lets the directory go. What has no outcome stays for the next `spool`.
   * @throws StorageError where not everything could be kept.
   */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }
  async [Symbol.asyncDispose]() {
    await this.close();
  }
  /** One iteration at a time. It begins with everything that has no outcome. */
  [Symbol.asyncIterator]() {
    if (this.#reader !== null) {
      throw new UsageError("spool: another loop iterates it; end that one first");
    }
    this.#chunks.rewind();
    const reader = new Reader({
      take: () => this.#take(),
      isOver: () => this.#isOver(),
      left: () => {
        this.#reader = null;
      }
    });
    this.#reader = reader;
    return reader;
  }
  /** For the loop: the request is removed. Resolves once the disk knows. */
  settled(request2, outcome) {
    const { key } = request2;
    const chunk = typeof key === "number" ? this.#chunks.find(key) : void 0;
    const bytes = chunk?.settle(key) ?? -1;
    if (bytes < 0) return void 0;
    const removal2 = this.#gone(chunk, bytes);
    this.#options.onSettled?.(request2, outcome);
    if (this.#queue.length > 0) this.#admit();
    return removal2;
  }
  // ------------------------------------------------------------------------------------------------------------ admission
  /** `index`: in its push; -1: it is alone. */
  #judge(request2, index) {
    const { mode: mode2, maxBytes } = this.#options;
    const fault = mode2 === "durable" ? faultOf(request2) : keepFaultOf(request2);
    const bytes = fault === null && maxBytes < Infinity ? bytesOf(request2) : 0;
    if (fault === null && bytes <= maxBytes) return;
    const where = index < 0 ? "spool" : `spool: request ${index} of the push`;
    const what = fault?.message ?? `it has ${bytes} bytes and maxBytes is ${maxBytes}`;
    throw new UsageError(`${where}: ${what}`, { cause: fault });
  }
  #fits(count2, bytes) {
    const { maxBytes, maxMessages } = this.#options;
    return this.#size + count2 <= maxMessages && this.#bytes + bytes <= maxBytes;
  }
  #full() {
    const { maxBytes, maxMessages } = this.#options;
    return new StorageError(
      `The spool ${this.#shelf.directory} is full: it holds ${this.#size} requests of ${this.#bytes} bytes, and may hold ${maxMessages} of ${maxBytes}.`,
      { code: "SPOOL_FULL", retryable: true }
    );
  }
  /** Lets in what there is room for, in the order of the pushes. */
  #admit() {
    for (let push = this.#queue[0]; push !== void 0; push = this.#queue[0]) {
      for (let next = push.next; next !== void 0; next = push.next) {
        const bytes = bytesOf(next);
        if (this.#fits(1, bytes)) this.#accept(next, bytes, push);
        else if (this.#options.overflow === "wait") return this.#shelf.commit();
        else if (this.#options.overflow === "dropOldest" && this.#dropOldest()) continue;
        else if (this.#options.overflow === "dropOldest" && this.#unread) return this.#read();
        else this.#tell(next, { ok: false, error: this.#full() });
        push.at++;
      }
      this.#queue.shift();
      push.conclude();
    }
    this.#shelf.commit();
  }
  #accept(request2, bytes, push) {
    if (this.#staysInMemory()) {
      push.count++;
      this.#remember(request2, bytes);
      return this.#reader?.provide();
    }
    const fault = this.#options.mode === "spill" ? faultOf(request2) : null;
    if (fault !== null) return this.#tell(request2, { ok: false, error: fault });
    push.count++;
    this.#size++;
    this.#bytes += bytes;
    this.#shelf.add(request2, bytes, expiryOf2(request2, Date.now), push);
  }
  /** `spill`: while nothing is on its way to disk or back, and the memory suffices. */
  #staysInMemory() {
    if (this.#options.mode !== "spill" || this.#unread || this.#shelf.isBusy) return false;
    return this.#chunks.waitingBytes < MEMORY_BYTES;
  }
  #remember(request2, bytes) {
    this.#size++;
    this.#bytes += bytes;
    const number = this.#shelf.number();
    let chunk = this.#chunks.last;
    const goesOn = chunk !== void 0 && !chunk.kept && chunk.last === number - 1;
    if (!goesOn || chunk.requests.length >= CHUNK_REQUESTS) {
      chunk = new Chunk(number, false);
      this.#chunks.push(chunk);
    }
    chunk.add(request2, bytes, expiryOf2(request2, Date.now));
    this.#chunks.added(bytes);
    this.#readThrough = number;
    this.#keptThrough = number;
  }
  /** It is on disk: handed out from memory, where all that precedes it is there too, or read when its turn comes. */
  #kept(chunk) {
    const precedes = !this.#unread;
    this.#keptThrough = chunk.last;
    if (!precedes || this.#chunks.waitingBytes > MEMORY_BYTES) return;
    this.#readThrough = chunk.last;
    this.#chunks.push(chunk);
  }
  /** False: there is none in memory that may be dropped. */
  #dropOldest() {
    const { batch, expired } = this.#chunks.take(1, 0);
    const key = batch[0]?.key ?? expired[0];
    if (key === void 0) return false;
    this.#drop(key, this.#full());
    return true;
  }
  #drop(key, error) {
    const chunk = this.#chunks.find(key);
    const request2 = chunk.requests[key - chunk.first];
    this.#gone(chunk, chunk.settle(key));
    this.#tell(request2, { ok: false, error });
  }
  /** What a listener throws ends the iteration. */
  #tell(request2, outcome) {
    try {
      this.#options.onSettled?.(request2, outcome);
    } catch (error) {
      if (this.#reader === null) throw error;
      this.#reader.fail(error);
    }
  }
  /** It needs its place no longer. Resolves once the disk knows, where it was there. */
  #gone(chunk, bytes) {
    this.#size--;
    this.#bytes -= bytes;
    if (chunk.left === 0) this.#chunks.forget(chunk);
    if (this.#closing !== null) return NEVER;
    return chunk.kept ? this.#shelf.settled(chunk, bytes) : void 0;
  }
  // ----------------------------------------------------------------------------------------------------------- hand over
  #take() {
    const { batch, expired } = this.#chunks.take(BATCH, Date.now());
    for (const key of expired) this.#drop(key, expiredError());
    if (this.#unread && this.#chunks.waitingBytes < MEMORY_BYTES / 2) this.#read();
    return batch.length > 0 ? batch : null;
  }
  /** Nothing more will be handed out. */
  #isOver() {
    if (this.#closing !== null) return true;
    return this.#ended && !this.#unread && this.#queue.length === 0 && !this.#shelf.isBusy;
  }
  /** Something on disk was not read. */
  get #unread() {
    return this.#readThrough < this.#keptThrough;
  }
  /** Brings what comes next from disk. */
  #read() {
    if (this.#reading || this.#retry !== null || this.#closing !== null) return;
    this.#reading = true;
    const through = this.#keptThrough;
    this.#shelf.read(this.#readThrough).then(
      (chunks) => {
        this.#reading = false;
        for (const chunk of chunks) this.#chunks.push(chunk);
        this.#readThrough = chunks.at(-1)?.last ?? through;
        this.#admit();
        this.#reader?.provide();
      },
      (error) => {
        this.#reading = false;
        if (this.#closing !== null) return;
        if (!error.retryable) return this.#reader?.fail(error);
        this.#options.onWarning?.(error);
        this.#retry = setTimeout(() => {
          this.#retry = null;
          this.#read();
        }, RETRY_MS2).unref();
      }
    );
  }
  async #close() {
    this.#ended = true;
    const queue = this.#queue;
    this.#queue = [];
    for (const push of queue) push.fail(closedError2());
    if (this.#retry !== null) clearTimeout(this.#retry);
    await Promise.resolve();
    this.#reader?.provide();
    await this.#shelf.close(this.#chunks.unkept);
  }
};
var Push = class {
  /** Resolves with how many of its requests were accepted. */
  accepted;
  #requests;
  at = 0;
  count = 0;
  #pending = 0;
  #failure = null;
  #resolve;
  #reject;
  constructor(requests) {
    this.#requests = requests;
    this.accepted = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }
  get next() {
    return this.#requests[this.at];
  }
  waits() {
    this.#pending++;
  }
  done(failure2) {
    this.#pending--;
    this.#failure ??= failure2;
    this.conclude();
  }
  fail(error) {
    this.#failure ??= error;
    this.at = this.#requests.length;
    this.conclude();
  }
  conclude() {
    if (this.#pending > 0 || this.next !== void 0) return;
    if (this.#failure === null) this.#resolve(this.count);
    else this.#reject(this.#failure);
  }
};
function faultOf(request2) {
  try {
    const { kind } = prepare(request2, 5);
    return kind === "control" ? controlFault() : keepFaultOf(request2);
  } catch (error) {
    return error;
  }
}
function keepFaultOf(request2) {
  if (typeof request2 !== "object" || request2 === null) return faultOf(request2);
  const { cmd, key, signal } = request2;
  if (cmd !== "publish" && cmd !== "subscribe" && cmd !== "unsubscribe") return faultOf(request2);
  if (key !== void 0) {
    return new UsageError(
      "key: a spool names its requests itself; put a name of yours into a property"
    );
  }
  return signal === void 0 ? null : new UsageError("signal: it cannot be kept on disk");
}
function controlFault() {
  return new UsageError(
    "a control cannot be kept on disk; give it to the loop, in its stream of controls"
  );
}
function sizesOf(requests) {
  return [requests.length, requests.reduce((sum, request2) => sum + bytesOf(request2), 0)];
}
function expiredError() {
  const message = "The message expired while it was queued (messageExpiryInterval).";
  return new ConnectionError(message, { code: "MESSAGE_EXPIRED", retryable: false });
}
function closedError2() {
  return new UsageError("spool: it was closed before there was room", { code: "CLOSED" });
}
var NEVER = new Promise(() => {
});
async function spool(directory, options2 = {}) {
  return Spool.open(directory, options2);
}

// src/endpoint.ts
var PORTS = {
  "mqtt:": 1883,
  "tcp:": 1883,
  "mqtts:": 8883,
  "tls:": 8883
};
var SCHEMES = [...Object.keys(PORTS), "unix:"];
function endpointOf({ url, tls = NO_TLS }) {
  return { url: new URL(url ?? "custom://transport"), tls };
}
var NO_TLS = {};
function whereOf(options2) {
  const { protocol, host, pathname } = endpointOf(options2).url;
  return redact(`${protocol}//${host}${protocol === "unix:" ? pathname : ""}`);
}
function judgeEndpoint(options2) {
  const { url: given, tls = {}, transport } = options2;
  if (transport !== void 0 && typeof transport !== "function") {
    throw wrong(
      "transport",
      transport,
      "a function (endpoint, signal) that opens a stream of bytes"
    );
  }
  if (typeof tls !== "object" || tls === null)
    throw wrong("tls", tls, "an object of options for tls.connect");
  if (given === void 0 && transport !== void 0) return;
  if (given === void 0) throw wrong("url", given, "a URL such as mqtt://localhost");
  let url;
  try {
    url = new URL(given);
  } catch {
    throw wrong(
      "url",
      typeof given === "string" ? redact(given) : given,
      "a URL such as mqtt://localhost:1883"
    );
  }
  if (transport !== void 0) return;
  if (!SCHEMES.includes(url.protocol))
    throw wrong("url", url.protocol, `one of the schemes ${SCHEMES.join(" ")}`);
  if (url.protocol === "unix:" ? url.pathname === "" : url.hostname === "") {
    throw wrong(
      "url",
      redact(url.href),
      "a URL with a host (mqtt://localhost), or unix:/path/of/socket"
    );
  }
}
function defaultPort(url) {
  return url.port === "" ? PORTS[url.protocol] ?? 0 : Number(url.port);
}
function redact(url) {
  return url.replace(/\/\/([^/@:]*):.*@/, "//$1:***@");
}
function credentials(options2) {
  const { url } = endpointOf(options2);
  const decode = (part) => {
    try {
      return part === "" ? void 0 : decodeURIComponent(part);
    } catch {
      throw new UsageError('url: its user name or password has a "%" that is no escape; write %25');
    }
  };
  const username = options2.username === void 0 ? decode(url.username) : options2.username;
  const password = options2.password === void 0 ? decode(url.password) : options2.password;
  if (username !== void 0 && typeof username !== "string")
    throw wrong("username", username, "a string");
  if (password !== void 0 && typeof password !== "string" && !(password instanceof Uint8Array)) {
    const given = password === null ? "null" : `a ${typeof password}`;
    throw new UsageError(`password: a string or bytes are expected, ${given} was given`);
  }
  for (const [name, value] of Object.entries({ username, password })) {
    if (typeof value !== "string" && !(value instanceof Uint8Array)) continue;
    const bytes = typeof value === "string" ? Buffer.byteLength(value) : value.length;
    if (bytes > 65535)
      throw new UsageError(`${name}: at most 65,535 bytes are allowed, ${bytes} were given`);
  }
  return { username, password };
}

// src/connect-packet.ts
var MAXIMUM_PACKET_SIZE = 268435455;
function connectPacket({ options: options2, config }, clientId, protocolVersion, clean) {
  const { maximumPacketSize, topicAliasMaximum, receiveMaximum, sessionExpiryInterval } = config;
  const properties = {
    ...options2.properties,
    sessionExpiryInterval,
    receiveMaximum,
    ...maximumPacketSize < MAXIMUM_PACKET_SIZE ? { maximumPacketSize } : {},
    ...topicAliasMaximum > 0 ? { topicAliasMaximum } : {}
  };
  const { username, password } = credentials(options2);
  return {
    cmd: "connect",
    protocolId: protocolVersion === 3 ? "MQIsdp" : "MQTT",
    protocolVersion,
    clientId,
    clean,
    keepalive: config.keepAlive,
    ...username === void 0 ? {} : { username },
    ...password === void 0 ? {} : { password: Buffer.from(password) },
    ...options2.will === void 0 ? {} : { will: willOf(options2.will) },
    ...protocolVersion === 5 ? { properties } : {}
  };
}
function willOf({
  topic,
  payload: payload2,
  qos,
  retain,
  properties
}) {
  return {
    topic,
    payload: bytesOf2(payload2 ?? ""),
    qos: qos ?? 0,
    retain: retain ?? false,
    ...properties === void 0 ? {} : { properties }
  };
}
function bytesOf2(value) {
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return typeof value === "string" ? Buffer.from(value) : Buffer.from(value.base64, "base64");
}
function subscriptionPacket({ type, messageId, facts }, ledger) {
  if (type === "subscribe") {
    const { subscriptions, properties: properties2 } = facts;
    const packet2 = { cmd: type, messageId, subscriptions: [...subscriptions] };
    return properties2 === void 0 ? packet2 : { ...packet2, properties: properties2 };
  }
  const prepared = ledger.get(facts.handle);
  const properties = prepared?.kind === "unsubscribe" ? prepared.properties : void 0;
  const packet = { cmd: type, messageId, unsubscriptions: [...facts.unsubscriptions] };
  return properties === void 0 ? packet : { ...packet, properties };
}
function disconnectPacket({
  reasonCode,
  properties
}) {
  return properties === void 0 ? { cmd: "disconnect", reasonCode } : { cmd: "disconnect", reasonCode, properties };
}

// src/dial.ts
import { Duplex } from "node:stream";
import { ReadableStream, WritableStream } from "node:stream/web";

// node_modules/is-network-error/index.js
var objectToString = Object.prototype.toString;
var isError = (value) => objectToString.call(value) === "[object Error]";
var errorMessages = /* @__PURE__ */ new Set([
  "network error",
  // Chrome
  "NetworkError when attempting to fetch resource.",
  // Firefox
  "The Internet connection appears to be offline.",
  // Safari 16
  "Network request failed",
  // `cross-fetch`
  "fetch failed",
  // Undici (Node.js)
  "terminated",
  // Undici (Node.js)
  " A network error occurred.",
  // Bun (WebKit)
  "Network connection lost"
  // Cloudflare Workers (fetch)
]);
function isNetworkError(error) {
  const isValid = error && isError(error) && error.name === "TypeError" && typeof error.message === "string";
  if (!isValid) {
    return false;
  }
  const { message, stack } = error;
  if (message === "Load failed" || message.startsWith("Load failed (") && message.endsWith(")")) {
    return stack === void 0 || "__sentry_captured__" in error;
  }
  if (message.startsWith("error sending request for url")) {
    return true;
  }
  if (message === "Failed to fetch" || message.startsWith("Failed to fetch (") && message.endsWith(")")) {
    return true;
  }
  return errorMessages.has(message);
}

// node_modules/p-retry/index.js
function validateRetries(retries) {
  if (typeof retries === "number") {
    if (retries < 0) {
      throw new TypeError("Expected `retries` to be a non-negative number.");
    }
    if (Number.isNaN(retries)) {
      throw new TypeError("Expected `retries` to be a valid number or Infinity, got NaN.");
    }
  } else if (retries !== void 0) {
    throw new TypeError("Expected `retries` to be a number or Infinity.");
  }
}
function validateNumberOption(name, value, { min = 0, allowInfinity = false } = {}) {
  if (value === void 0) {
    return;
  }
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new TypeError(`Expected \`${name}\` to be a number${allowInfinity ? " or Infinity" : ""}.`);
  }
  if (!allowInfinity && !Number.isFinite(value)) {
    throw new TypeError(`Expected \`${name}\` to be a finite number.`);
  }
  if (value < min) {
    throw new TypeError(`Expected \`${name}\` to be \u2265 ${min}.`);
  }
}
var AbortError2 = class extends Error {
  constructor(message) {
    super();
    if (message instanceof Error) {
      this.originalError = message;
      ({ message } = message);
    } else {
      this.originalError = new Error(message);
      this.originalError.stack = this.stack;
    }
    this.name = "AbortError";
    this.message = message;
  }
};
function calculateDelay(retriesConsumed, options2) {
  const attempt = Math.max(1, retriesConsumed + 1);
  const random = options2.randomize ? Math.random() + 1 : 1;
  let timeout = Math.round(random * options2.minTimeout * options2.factor ** (attempt - 1));
  timeout = Math.min(timeout, options2.maxTimeout);
  return timeout;
}
function calculateRemainingTime(start, max) {
  if (!Number.isFinite(max)) {
    return max;
  }
  return max - (performance.now() - start);
}
async function onAttemptFailure({ error, attemptNumber, retriesConsumed, startTime, options: options2 }) {
  const normalizedError = error instanceof Error ? error : new TypeError(`Non-error was thrown: "${error}". You should only throw errors.`);
  if (normalizedError instanceof AbortError2) {
    throw normalizedError.originalError;
  }
  const retriesLeft = Number.isFinite(options2.retries) ? Math.max(0, options2.retries - retriesConsumed) : options2.retries;
  const maxRetryTime = options2.maxRetryTime ?? Number.POSITIVE_INFINITY;
  const context = Object.freeze({
    error: normalizedError,
    attemptNumber,
    retriesLeft,
    retriesConsumed
  });
  await options2.onFailedAttempt(context);
  if (calculateRemainingTime(startTime, maxRetryTime) <= 0) {
    throw normalizedError;
  }
  const consumeRetry = await options2.shouldConsumeRetry(context);
  const remainingTime = calculateRemainingTime(startTime, maxRetryTime);
  if (remainingTime <= 0 || retriesLeft <= 0) {
    throw normalizedError;
  }
  if (normalizedError instanceof TypeError && !isNetworkError(normalizedError)) {
    if (consumeRetry) {
      throw normalizedError;
    }
    options2.signal?.throwIfAborted();
    return false;
  }
  if (!await options2.shouldRetry(context)) {
    throw normalizedError;
  }
  if (!consumeRetry) {
    options2.signal?.throwIfAborted();
    return false;
  }
  const delayTime = calculateDelay(retriesConsumed, options2);
  const finalDelay = Math.min(delayTime, remainingTime);
  options2.signal?.throwIfAborted();
  if (finalDelay > 0) {
    await new Promise((resolve, reject) => {
      const onAbort = () => {
        clearTimeout(timeoutToken);
        options2.signal?.removeEventListener("abort", onAbort);
        reject(options2.signal.reason);
      };
      const timeoutToken = setTimeout(() => {
        options2.signal?.removeEventListener("abort", onAbort);
        resolve();
      }, finalDelay);
      if (options2.unref) {
        timeoutToken.unref?.();
      }
      options2.signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
  options2.signal?.throwIfAborted();
  return true;
}
async function pRetry(input, options2 = {}) {
  options2 = { ...options2 };
  validateRetries(options2.retries);
  if (Object.hasOwn(options2, "forever")) {
    throw new Error("The `forever` option is no longer supported. For many use-cases, you can set `retries: Infinity` instead.");
  }
  options2.retries ??= 10;
  options2.factor ??= 2;
  options2.minTimeout ??= 1e3;
  options2.maxTimeout ??= Number.POSITIVE_INFINITY;
  options2.maxRetryTime ??= Number.POSITIVE_INFINITY;
  options2.randomize ??= false;
  options2.onFailedAttempt ??= () => {
  };
  options2.shouldRetry ??= () => true;
  options2.shouldConsumeRetry ??= () => true;
  validateNumberOption("factor", options2.factor, { min: 0, allowInfinity: false });
  validateNumberOption("minTimeout", options2.minTimeout, { min: 0, allowInfinity: false });
  validateNumberOption("maxTimeout", options2.maxTimeout, { min: 0, allowInfinity: true });
  validateNumberOption("maxRetryTime", options2.maxRetryTime, { min: 0, allowInfinity: true });
  if (!(options2.factor > 0)) {
    options2.factor = 1;
  }
  options2.signal?.throwIfAborted();
  let attemptNumber = 0;
  let retriesConsumed = 0;
  const startTime = performance.now();
  while (Number.isFinite(options2.retries) ? retriesConsumed <= options2.retries : true) {
    attemptNumber++;
    try {
      options2.signal?.throwIfAborted();
      const result = await input(attemptNumber);
      options2.signal?.throwIfAborted();
      return result;
    } catch (error) {
      if (await onAttemptFailure({
        error,
        attemptNumber,
        retriesConsumed,
        startTime,
        options: options2
      })) {
        retriesConsumed++;
      }
    }
  }
  throw new Error("Retry attempts exhausted without throwing an error.");
}

// src/transport/socket.ts
var import_abort_controller_x = __toESM(require_lib(), 1);
import { connect, isIP } from "node:net";
import { connect as connectTls } from "node:tls";
function openTcp({ url }, signal) {
  return opened(
    signal,
    "connect",
    () => connect({ host: hostOf(url), port: defaultPort(url), noDelay: true })
  );
}
function openUnix({ url }, signal) {
  return opened(signal, "connect", () => connect({ path: decodeURIComponent(url.pathname) }));
}
function openTls({ url, tls }, signal) {
  const host = hostOf(url);
  const name = isIP(host) ? {} : { servername: host };
  return opened(signal, "secureConnect", () => {
    const socket = connectTls({ host, port: defaultPort(url), ...name, ...tls });
    socket.setNoDelay(true);
    return socket;
  });
}
function hostOf(url) {
  return url.hostname.replace(/^\[(.*)\]$/, "$1");
}
var ignore = () => {
};
function opened(signal, event, open) {
  return (0, import_abort_controller_x.execute)(signal, (resolve, reject) => {
    const socket = open();
    const closed = () => reject(new Error("the connection was closed"));
    socket.on("error", reject);
    socket.on("close", closed);
    socket.once(event, () => {
      socket.on("error", ignore);
      socket.off("error", reject);
      socket.off("close", closed);
      resolve(socket);
    });
    return () => {
      socket.destroy();
    };
  });
}

// src/transport/transport.ts
function openEndpoint(endpoint, signal) {
  switch (endpoint.url.protocol) {
    case "unix:":
      return openUnix(endpoint, signal);
    case "mqtts:":
    case "tls:":
      return openTls(endpoint, signal);
    default:
      return openTcp(endpoint, signal);
  }
}

// src/dial.ts
var AttemptError = class extends Error {
};
var Dialer = class {
  #options;
  #listener;
  /** Ends the attempts; null: none are made. */
  #stop = null;
  #attempt = null;
  /** Lets p-retry go on to the next attempt. */
  #next = null;
  constructor(options2, listener) {
    this.#options = options2;
    this.#listener = listener;
  }
  /** Begins an attempt; the listener hears of its end. */
  dial() {
    const next = this.#next;
    if (next !== null) {
      this.#next = null;
      return next();
    }
    const stop = new AbortController();
    this.#stop = stop;
    pRetry(() => this.#attemptOnce(), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      maxTimeout: 0,
      signal: stop.signal,
      onFailedAttempt: ({ error }) => this.#failed(error.cause, stop.signal)
    }).then(
      (duplex) => {
        this.#stop = null;
        this.#listener.opened(duplex);
      },
      () => {
      }
    );
  }
  /** Gives the attempt that is under way up; the listener hears of a failure. */
  cancel() {
    this.#attempt?.abort();
  }
  /** No more attempts. */
  stop() {
    this.#stop?.abort();
    this.cancel();
    this.#next?.();
  }
  #failed(error, stop) {
    const due = new Promise((resolve) => {
      this.#next = resolve;
    });
    if (!stop.aborted) this.#listener.failed(error);
    else this.#next?.();
    return due;
  }
  async #attemptOnce() {
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      return await this.#openOrAbort(attempt.signal);
    } catch (error) {
      throw new AttemptError("the attempt failed", { cause: error });
    } finally {
      this.#attempt = null;
    }
  }
  /** Rejects at an abort even where the transport does not heed the signal. */
  async #openOrAbort(signal) {
    const { transport = openEndpoint } = this.#options;
    const opening = (async () => asDuplex(await transport(endpointOf(this.#options), signal)))();
    const aborted = new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    try {
      return await Promise.race([opening, aborted]);
    } catch (error) {
      opening.then(
        (late) => late.destroy(),
        () => {
        }
      );
      throw error;
    }
  }
};
function asDuplex(opened3) {
  if (opened3 instanceof Duplex) return opened3;
  const stream2 = opened3;
  if (typeof stream2?.write === "function" && typeof stream2.destroy === "function") {
    return opened3;
  }
  const { readable, writable } = opened3 ?? {};
  if (readable instanceof ReadableStream && writable instanceof WritableStream) {
    return Duplex.fromWeb({ readable, writable });
  }
  throw new UsageError(
    "transport: it must open a Duplex of Node or { readable, writable } of web streams"
  );
}

// src/failures.ts
var CERTIFICATE = /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/;
var HOPELESS = /* @__PURE__ */ new Set([
  "ENOTFOUND",
  "EACCES",
  "ERR_SOCKET_BAD_PORT",
  "ERR_INVALID_ARG_VALUE",
  "ERR_INVALID_ARG_TYPE"
]);
function dialFailure(error, where) {
  const code = codeOf(error) ?? "CONNECT_FAILED";
  const certificate = CERTIFICATE.test(code);
  const message = certificate ? `The certificate of ${where} was refused: ${messageOf(error)}.` : `No connection to ${where}: ${messageOf(error)}.`;
  const retryable = !certificate && !HOPELESS.has(code) && !(error instanceof UsageError);
  return { phase: "dial", source: "connection", code, retryable, message };
}
function lossFailure(error, phase, where) {
  const before = phase === "handshake" ? " before the CONNACK" : "";
  const code = codeOf(error) ?? "CONNECTION_CLOSED";
  const message = error === null ? `${where} closed the connection${before}.` : `The connection to ${where} was lost${before}: ${messageOf(error)}.`;
  return { phase, source: "connection", code, retryable: true, message };
}
function codeOf(error) {
  const code = error?.code;
  return typeof code === "string" ? code : void 0;
}
function messageOf(error) {
  if (error instanceof AggregateError && error.message === "") {
    return error.errors.map(messageOf).join("; ");
  }
  return error instanceof Error ? error.message : String(error);
}
var Causes = class {
  #causes = null;
  #next = 1;
  /** Until it is asked for. */
  keep(cause2) {
    this.#causes ??= /* @__PURE__ */ new Map();
    this.#causes.set(this.#next, cause2);
    return this.#next++;
  }
  /** Of a lost connection: nobody may ever ask, so only the latest few are kept. */
  keepRecent(cause2) {
    this.#causes?.delete(this.#next - RECENT_CAUSES);
    return this.keep(cause2);
  }
  /** The error of a failure. Where the failure only carries what the user threw, that itself. */
  errorOf(failure2) {
    const { code, message, retryable } = failure2;
    const cause2 = failure2.cause === void 0 ? void 0 : this.#causes?.get(failure2.cause);
    if (code === RETHROWN || code === "CANCELLED") {
      this.#causes?.delete(failure2.cause);
      return cause2;
    }
    const details = { code, retryable, ...cause2 === void 0 ? {} : { cause: cause2 } };
    return makeError(failure2, message, details);
  }
};
var RECENT_CAUSES = 16;
var RETHROWN = "RETHROWN";
function rethrown(cause2) {
  return {
    phase: "request",
    source: "usage",
    code: RETHROWN,
    retryable: false,
    message: "The loop was ended from outside.",
    cause: cause2
  };
}
function makeError(failure2, message, details) {
  const { reasonCode = 0, clause = "", packet } = failure2;
  switch (failure2.source) {
    case "usage":
      return new UsageError(message, details);
    case "protocol":
      return new ProtocolError(message, { ...details, reasonCode, clause });
    case "refused":
      return new RefusedError(message, { ...details, reasonCode, packet });
    case "connection":
      return new ConnectionError(message, details);
    case "storage":
      return new StorageError(message, details);
    case "bug":
      return new BugError(message, details);
  }
}

// src/protocol/commits.ts
var AT_ONCE = /* @__PURE__ */ new Set([
  "dial",
  "connect",
  "pingreq",
  "pong",
  "subscribe",
  "unsubscribe",
  "disconnect",
  "close",
  "destroy",
  "pauseReading",
  "resumeReading",
  "withhold",
  "unwithhold",
  "warn",
  "takeApart",
  "confirm"
]);
function restsOnSession(effect) {
  if (effect.type === "publish") return effect.qos > 0;
  return !AT_ONCE.has(effect.type);
}

// src/gate.ts
var Gate = class {
  #store;
  #listener;
  #waiting = [];
  /** What the store is asked now; null: nothing. */
  #asking = null;
  /** Before the session is loaded nothing may replace it. */
  #loaded = false;
  /** Nothing is safe any more: what rests on a commit never leaves, and the end waits for none. */
  #broken = false;
  constructor(store, listener) {
    this.#store = store;
    this.#listener = listener;
  }
  /** The session that is kept; null: none is. Rejects with a StorageError. */
  async load() {
    try {
      const session2 = await this.#ask(() => this.#store.load());
      this.#loaded = true;
      return session2;
    } catch (cause2) {
      throw storageError("The session could not be loaded", "LOAD_FAILED", cause2);
    }
  }
  /** Keeps what has to wait, gives back what has not. */
  admit(effects, link) {
    if (!this.#loaded) return effects;
    if (this.#broken) return effects.filter((effect) => !restsOnSession(effect) || endsAll(effect));
    const resting = effects.filter(restsOnSession);
    if (resting.length === 0) return effects;
    this.#listener.foresee(resting);
    this.#waiting.push({ effects: resting, link });
    this.#commit();
    return effects.filter((effect) => !restsOnSession(effect));
  }
  /** The loop has ended: what it knows is kept once more, whatever ended it, and the outcomes that rest on that are told. */
  async close() {
    const keeps = this.#loaded && !this.#broken;
    this.#broken = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    await this.#asking?.catch(() => {
    });
    if (keeps) await this.#keepLast(waiting.flatMap(({ effects }) => effects));
    await this.#store.close();
  }
  async #keepLast(effects) {
    try {
      await this.#ask(() => this.#store.commit(this.#listener.session()));
    } catch {
      return;
    }
    this.#listener.settleLate(effects);
  }
  #commit() {
    if (this.#asking !== null || this.#waiting.length === 0) return;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#ask(() => this.#store.commit(this.#listener.session())).then(
      () => {
        for (const { effects, link } of batch) this.#listener.release(effects, link);
        this.#commit();
      },
      (cause2) => {
        this.#broken = true;
        this.#waiting = [];
        this.#listener.fail(storageError("The session could not be saved", "COMMIT_FAILED", cause2));
      }
    );
  }
  /** One question at a time: a store never meets two. */
  async #ask(question) {
    const answer2 = (async () => question())();
    this.#asking = answer2;
    try {
      return await answer2;
    } finally {
      this.#asking = null;
    }
  }
};
function storageError(what, code, cause2) {
  const why = cause2 instanceof Error ? cause2.message : String(cause2);
  return new StorageError(`${what}: ${why}.`, { code, cause: cause2 });
}
function endsAll({ type }) {
  return type === "finished";
}

// src/inbox.ts
var Waiter = class {
  resolve;
  reject;
  next = null;
  constructor(resolve, reject) {
    this.resolve = resolve;
    this.reject = reject;
  }
};
var COMPACT_AT = 512;
var NOTHING2 = [];
var Inbox = class {
  #queue = NOTHING2;
  #head = 0;
  #oldest = null;
  #newest = null;
  #withheld = null;
  /** Messages before this sequence were dropped in favour of their redelivery. */
  #droppedBefore = 0;
  /** Messages at QoS > 0 that the consumer holds since its last `next()`. */
  #inHand = null;
  /** By packet, where acknowledgements are the user's to give. */
  #sequences;
  packets = 0;
  bytes = 0;
  yieldedThrough = 0;
  handledThrough = 0;
  constructor(manual) {
    this.#sequences = manual ? /* @__PURE__ */ new WeakMap() : null;
  }
  /** Something has changed that the reducers do not know. */
  get dirty() {
    return this.packets > 0 || this.handledThrough > 0;
  }
  get waiting() {
    return this.#oldest !== null;
  }
  offer(entry) {
    if (this.#queue === NOTHING2) this.#queue = [entry];
    else this.#queue.push(entry);
  }
  /** Answers those who wait. Only once all effects of a step are performed: a later one may withhold what an earlier one gave. */
  serve() {
    while (this.#oldest !== null) {
      const packet = this.take();
      if (packet === void 0) return;
      this.#leave().resolve({ done: false, value: packet });
    }
  }
  /** The next packet, or undefined: none is here. */
  take() {
    const entry = this.#queue[this.#head];
    if (entry === void 0) return void 0;
    this.#head++;
    if (this.#head === this.#queue.length) {
      this.#queue = NOTHING2;
      this.#head = 0;
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return this.#deliver(entry);
  }
  wait() {
    return new Promise((resolve, reject) => this.#join(new Waiter(resolve, reject)));
  }
  #join(waiter) {
    if (this.#newest === null) this.#oldest = waiter;
    else this.#newest.next = waiter;
    this.#newest = waiter;
  }
  /** The oldest, who waits no more. */
  #leave() {
    const waiter = this.#oldest;
    if (waiter === null) return null;
    this.#oldest = waiter.next;
    waiter.next = null;
    if (this.#oldest === null) this.#newest = null;
    return waiter;
  }
  #deliver(entry) {
    this.packets++;
    this.bytes += entry.bytes;
    const packet = entry.packet;
    if (entry.sequence > 0) {
      this.yieldedThrough = entry.sequence;
      if (this.#sequences !== null) this.#sequences.set(packet, entry.sequence);
      else if (this.#inHand === null) this.#inHand = [entry];
      else this.#inHand.push(entry);
    }
    return packet;
  }
  /** The consumer asks for more: what it had in hand is handled. */
  handled() {
    if (this.#inHand === null) return;
    this.handledThrough = this.#inHand[this.#inHand.length - 1].sequence;
    this.#inHand = null;
  }
  /** The sequence of a packet that may be acknowledged; undefined: it was, or is no such packet. */
  sequenceOf(packet) {
    if (this.#sequences !== null) return this.#sequences.get(packet);
    return this.#inHand?.find((entry) => entry.packet === packet)?.sequence;
  }
  /** What was counted is told. */
  reported() {
    this.packets = 0;
    this.bytes = 0;
    this.handledThrough = 0;
  }
  /** Messages at QoS > 0 that nobody has taken wait for the next CONNACK. */
  withhold() {
    const rest2 = this.#queue.slice(this.#head);
    const earlier = this.#withheld ?? [];
    this.#withheld = [...earlier, ...rest2.filter(({ sequence }) => sequence > 0)];
    const kept = rest2.filter(({ sequence }) => sequence === 0);
    this.#queue = kept.length > 0 ? kept : NOTHING2;
    this.#head = 0;
  }
  /** Nobody will get it: it counts as taken, not as handled. */
  drop(entry) {
    this.packets++;
    this.bytes += entry.bytes;
  }
  unwithhold(drop3, before) {
    const withheld = this.#withheld ?? [];
    this.#withheld = null;
    if (drop3) this.#droppedBefore = before;
    for (const entry of withheld) {
      if (!drop3) this.offer(entry);
      else this.drop(entry);
    }
  }
  get withholds() {
    return this.#withheld !== null;
  }
  /** A message of a connection that is over by now. */
  offerLate(entry) {
    if (entry.sequence < this.#droppedBefore) this.drop(entry);
    else if (this.#withheld !== null) this.#withheld.push(entry);
    else this.offer(entry);
  }
  /** The loop is over: nothing that is left will be asked for. */
  clear() {
    this.#queue = NOTHING2;
    this.#head = 0;
    this.#withheld = null;
    this.#inHand = null;
  }
  /** Answers those who wait: the oldest with the error, where there is one, the others with done. True: it was told. */
  end(error) {
    const told = error !== null && this.waiting;
    if (told) this.#leave().reject(error.reason);
    while (this.waiting) this.#leave().resolve({ done: true, value: void 0 });
    return told;
  }
};

// src/codec/rare.ts
function encodeRare(packet, version) {
  switch (packet.cmd) {
    case "connect":
      return framed(16, connectBody(packet, version));
    case "subscribe":
      return framed(130, subscribeBody(packet, version));
    case "unsubscribe":
      return framed(162, unsubscribeBody(packet, version));
    case "pingreq":
      return Uint8Array.of(192, 0);
    case "disconnect":
      return framed(224, version === 5 ? reasonBody(packet) : NOTHING3);
    case "auth":
      assert(version === 5, "AUTH came with MQTT 5");
      return framed(240, reasonBody(packet));
    default:
      throw new UsageError(`a client does not send ${packet.cmd} as a packet of its own`);
  }
}
var NOTHING3 = new Uint8Array(0);
function framed(first, body) {
  if (body.length > REMAINING_LENGTH_MAX) {
    throw new UsageError(
      `the packet has ${body.length} bytes; MQTT allows ${REMAINING_LENGTH_MAX} [MQTT-1.5.5-1]`
    );
  }
  const bytes = Buffer.allocUnsafe(packetBytes(body.length));
  bytes[0] = first;
  bytes.set(body, writeVarint(bytes, 1, body.length));
  return bytes;
}
function connectBody(packet, version) {
  const { will, username, password, clientId } = packet;
  const writer = new Writer();
  writer.string(version === 3 ? "MQIsdp" : "MQTT");
  writer.byte(version);
  if (password !== void 0 && username === void 0 && version !== 5) {
    throw new UsageError("a password needs a user name before MQTT 5 [MQTT-3.1.2-22]");
  }
  const willFlags = will ? 4 | (will.qos ?? 0) << 3 | (will.retain ? 32 : 0) : 0;
  const userFlags = (username === void 0 ? 0 : 128) | (password === void 0 ? 0 : 64);
  writer.byte(userFlags | willFlags | (packet.clean === false ? 0 : 2));
  writer.uint16(packet.keepalive ?? 0);
  writeProperties(writer, packet.properties, "connect", version);
  writer.string(judgedString(clientId ?? "", "clientId"));
  if (will) {
    writeProperties(writer, will.properties, "will", version);
    const problem = topicNameProblem(judgedString(will.topic, "will.topic"));
    if (problem !== null) throw new UsageError(`will.topic ${problem}`);
    writer.string(will.topic);
    writer.binary(judgedBinary(will.payload ?? NOTHING3, "will.payload"));
  }
  if (username !== void 0) writer.string(judgedString(username, "username"));
  if (password !== void 0) {
    writer.binary(isBytes(password) ? password : judgedBinary(password, "password"));
  }
  return writer.take();
}
function subscribeBody(packet, version) {
  const writer = new Writer();
  writer.uint16(messageIdOf(packet));
  writeProperties(writer, packet.properties, "subscribe", version);
  for (const { topic, qos, nl, rap, rh } of packet.subscriptions) {
    writer.string(topic);
    writer.byte(version === 5 ? qos | (nl ? 4 : 0) | (rap ? 8 : 0) | (rh ?? 0) << 4 : qos);
  }
  return writer.take();
}
function unsubscribeBody(packet, version) {
  const writer = new Writer();
  writer.uint16(messageIdOf(packet));
  writeProperties(writer, packet.properties, "unsubscribe", version);
  for (const filter of packet.unsubscriptions) writer.string(filter);
  return writer.take();
}
function reasonBody(packet) {
  const code = packet.reasonCode ?? 0;
  const properties = encodeProperties(packet.properties, packet.cmd, `${packet.cmd}.properties`);
  if (properties === null) {
    if (code === 0) return NOTHING3;
    return packet.cmd === "disconnect" ? Uint8Array.of(code) : Uint8Array.of(code, 0);
  }
  const writer = new Writer();
  writer.byte(code);
  writer.varint(properties.length);
  writer.raw(properties);
  return writer.take();
}
function writeProperties(writer, properties, place, version) {
  if (version !== 5) return;
  const bytes = encodeProperties(properties, place, `${place}.properties`);
  writer.varint(bytes === null ? 0 : bytes.length);
  if (bytes !== null) writer.raw(bytes);
}
function messageIdOf(packet) {
  const id = packet.messageId ?? 0;
  assert(id > 0 && id <= 65535, `a ${packet.cmd} needs a packet identifier [MQTT-2.2.1-3]`);
  return id;
}

// src/codec/encode.ts
var BATCH_BYTES_MIN = 256;
var BATCH_BYTES_MAX = 65536;
var REFERENCE_BYTES_MIN = 16384;
var LOOP_BYTES_MAX = 24;
var EXPIRY_ID = 2;
var ALIAS_ID = 35;
var writeLatin1 = Buffer.prototype.latin1Write;
var FIRST_BYTES2 = { puback: 64, pubrec: 80, pubrel: 98, pubcomp: 112 };
var Encoder = class {
  version;
  batch = null;
  used = 0;
  full = null;
  fullBytes = 0;
  nextBytes = BATCH_BYTES_MIN;
  constructor(protocolVersion) {
    this.version = protocolVersion;
  }
  /**
   * A PUBLISH. `messageId`: 0 at QoS 0. `expirySeconds`: the Message Expiry Interval that is left, -1 for none.
   * `topicAlias`: 0 for none; with `aliasKnown` the topic is left out, the server knows it by the alias.
   */
  publish(prepared, messageId, dup, expirySeconds, topicAlias = 0, aliasKnown = false) {
    const { payload: payload2, payloadBytes: payloadBytes2, qos } = prepared;
    const topic = aliasKnown ? NO_TOPIC : prepared.topic;
    const topicBytes = topic.length;
    let properties = null;
    let propertyBytes = 0;
    let length = topicBytes + payloadBytes2;
    if (qos !== 0) length += 2;
    if (this.version === 5) {
      properties = prepared.properties;
      if (properties !== null) propertyBytes = properties.length;
      if (expirySeconds >= 0) propertyBytes += 5;
      if (topicAlias !== 0) propertyBytes += 3;
      length += varintBytes(propertyBytes) + propertyBytes;
    }
    const apart = payloadBytes2 >= REFERENCE_BYTES_MIN;
    const batch = this.room(apart ? 5 + length - payloadBytes2 : 5 + length);
    let at = this.used;
    batch[at++] = 48 | (dup ? 8 : 0) | qos << 1 | (prepared.retain ? 1 : 0);
    if (length < 128) batch[at++] = length;
    else at = writeVarint(batch, at, length);
    if (topicBytes <= LOOP_BYTES_MAX) {
      for (let i = 0; i < topicBytes; i++) batch[at + i] = topic[i];
    } else {
      batch.set(topic, at);
    }
    at += topicBytes;
    if (qos !== 0) {
      batch[at++] = messageId >> 8;
      batch[at++] = messageId;
    }
    if (this.version === 5) {
      at = writeVarint(batch, at, propertyBytes);
      if (expirySeconds >= 0) {
        batch[at++] = EXPIRY_ID;
        at = batch.writeUInt32BE(expirySeconds, at);
      }
      if (topicAlias !== 0) {
        batch[at++] = ALIAS_ID;
        at = batch.writeUInt16BE(topicAlias, at);
      }
      if (properties !== null) {
        batch.set(properties, at);
        at += properties.length;
      }
    }
    if (apart) {
      this.used = at;
      this.refer(typeof payload2 === "string" ? Buffer.from(payload2) : payload2);
      return;
    }
    if (typeof payload2 !== "string") {
      batch.set(payload2, at);
    } else if (payloadBytes2 === payload2.length) {
      writeLatin1.call(batch, payload2, at, payloadBytes2);
    } else {
      batch.write(payload2, at, payloadBytes2);
    }
    this.used = at + payloadBytes2;
  }
  /** An acknowledgement: the short form where the reason code is 0, without properties otherwise. */
  ack(cmd, messageId, reasonCode) {
    const batch = this.room(5);
    const at = this.used;
    const withReason = reasonCode !== 0 && this.version === 5;
    batch[at] = FIRST_BYTES2[cmd];
    batch[at + 1] = withReason ? 3 : 2;
    batch[at + 2] = messageId >> 8;
    batch[at + 3] = messageId;
    if (withReason) batch[at + 4] = reasonCode;
    this.used = at + (withReason ? 5 : 4);
  }
  /** Everything that is rare: CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, AUTH. */
  packet(packet) {
    this.append(encodeRare(packet, this.version));
  }
  /** Whole packets that are encoded already. */
  append(bytes) {
    if (bytes.length >= REFERENCE_BYTES_MIN) {
      this.refer(bytes);
    } else {
      this.room(bytes.length).set(bytes, this.used);
      this.used += bytes.length;
    }
  }
  /** Bytes written and not yet taken. */
  get pendingBytes() {
    return this.fullBytes + this.used;
  }
  /** What is to be written, in order; the encoder is empty afterwards. */
  take() {
    this.close();
    const taken = this.full ?? [];
    const bytes = this.fullBytes;
    this.full = null;
    this.fullBytes = 0;
    const wanted = bytes < BATCH_BYTES_MIN ? BATCH_BYTES_MIN : 1 << 32 - Math.clz32(bytes - 1);
    this.nextBytes = Math.min(wanted, BATCH_BYTES_MAX);
    return taken;
  }
  /** The batch, with at least `bytes` of room behind `used`. */
  room(bytes) {
    const { batch } = this;
    if (batch !== null && batch.length - this.used >= bytes) return batch;
    this.close();
    const size = Math.max(this.nextBytes, bytes);
    this.nextBytes = Math.min(this.nextBytes * 4, BATCH_BYTES_MAX);
    return this.batch = Buffer.allocUnsafe(size);
  }
  refer(bytes) {
    const { batch, used } = this;
    this.close();
    this.add(bytes);
    if (batch !== null && batch.length > used) this.batch = batch.subarray(used);
  }
  close() {
    const { batch, used } = this;
    if (batch !== null && used > 0) this.add(batch.subarray(0, used));
    this.batch = null;
    this.used = 0;
  }
  add(bytes) {
    if (this.full === null) this.full = [];
    this.full.push(bytes);
    this.fullBytes += bytes.length;
  }
};
var NO_TOPIC = new Uint8Array(2);

// src/group.ts
var MEMBER_BYTES_MAX = 4096;
var Group = class {
  kind = "group";
  requests = [];
  settling;
  unlisten = null;
  /** Of the largest packet: what a server's Maximum Packet Size is compared with. */
  bytes = 0;
  /** Whether any of them is to be retained. */
  retain = false;
  /** The packets, once the group is closed. */
  encoded = [];
  #encoder;
  /** `encoder`: its own until it is closed. */
  constructor(settling, encoder) {
    this.settling = settling;
    this.#encoder = encoder;
  }
  /** Whether nothing will ever concern this publish alone but its outcome. */
  static mayJoin({ qos, bytes, expiryGiven, request: request2 }) {
    return qos === 0 && bytes <= MEMBER_BYTES_MAX && !expiryGiven && request2.key === void 0 && request2.signal === void 0;
  }
  add(prepared) {
    this.requests.push(prepared.request);
    this.#encoder.publish(prepared, 0, false, -1);
    if (prepared.bytes > this.bytes) this.bytes = prepared.bytes;
    if (prepared.retain) this.retain = true;
  }
  close() {
    this.encoded = this.#encoder.take();
  }
};

// src/held.ts
var NO_SLOTS = [void 0];
var Held = class {
  #slots = NO_SLOTS;
  #free = null;
  #shared = true;
  put(slot) {
    if (this.#shared) this.#own();
    const handle2 = this.#free?.pop();
    if (handle2 === void 0) return this.#slots.push(slot) - 1;
    this.#slots[handle2] = slot;
    return handle2;
  }
  get(handle2) {
    return this.#slots[handle2];
  }
  remove(handle2) {
    const slot = this.#slots[handle2];
    if (slot === void 0) return void 0;
    if (this.#shared) this.#own();
    this.#slots[handle2] = void 0;
    this.#free ??= [];
    this.#free.push(handle2);
    return slot;
  }
  /** The slots as they are now, for good. */
  share() {
    this.#shared = true;
    return this.#slots;
  }
  #own() {
    this.#slots = this.#slots.slice();
    this.#shared = false;
  }
};

// src/protocol/keepalive.ts
var BACKED_UP_MS = 10;
function keepAliveStart(intervalSeconds, at) {
  return {
    intervalMs: intervalSeconds * 1e3,
    sentAt: at,
    receivedAt: at,
    pinging: false,
    pingedAt: at,
    pingTakenAt: -1,
    readingPaused: false,
    standsSince: at,
    movedAt: at,
    writing: false
  };
}
function pingDueAt(s) {
  if (s.intervalMs === 0) return Infinity;
  if (s.readingPaused) return s.sentAt + s.intervalMs;
  return s.pinging ? Infinity : Math.min(s.sentAt, s.receivedAt) + s.intervalMs;
}
function deadAt(s) {
  if (s.intervalMs === 0) return Infinity;
  if (s.readingPaused) return s.writing ? s.standsSince + 1.5 * s.intervalMs : Infinity;
  if (!s.pinging) return Infinity;
  if (s.pingTakenAt >= 0) return s.pingTakenAt + s.intervalMs / 2;
  return Math.max(s.receivedAt, s.movedAt, s.pingedAt - s.intervalMs) + 1.5 * s.intervalMs;
}
function keepAliveSent(s, at) {
  s.sentAt = at;
  if (!s.writing) s.standsSince = at;
  s.writing = true;
}
function keepAliveWritten(s, at, ping2, more) {
  if (at - s.standsSince >= BACKED_UP_MS) s.movedAt = at;
  s.standsSince = at;
  s.writing = more;
  if (ping2 && s.pinging && s.pingTakenAt < 0) s.pingTakenAt = at;
}
function keepAliveReceived(s, at) {
  s.receivedAt = at;
  s.pinging = false;
  s.pingTakenAt = -1;
}
function keepAlivePinged(s, at) {
  if (s.pinging) return;
  s.pinging = true;
  s.pingedAt = at;
  s.pingTakenAt = -1;
}
function keepAliveReading(s, at, paused) {
  if (s.readingPaused && !paused) {
    s.receivedAt = at;
    s.movedAt = at;
    s.standsSince = at;
    s.pinging = false;
    s.pingTakenAt = -1;
  }
  s.readingPaused = paused;
}

// src/protocol/flow.ts
function decideReading(d, at) {
  const { flow, config, keepAlive } = d;
  const share = keepAlive.readingPaused ? 0.5 : 1;
  const full = flow.bufferedPackets >= Math.max(1, config.maxBufferedPackets * share) || flow.bufferedBytes >= Math.max(1, config.maxBufferedBytes * share);
  if (full && flow.consumerAwaitedSince < 0) flow.consumerAwaitedSince = at;
  if (!full) {
    flow.consumerAwaitedSince = -1;
    flow.warned = false;
  }
  const paused = d.connection.kind === "connected" && (flow.paused || full);
  if (paused === keepAlive.readingPaused) return;
  keepAliveReading(keepAlive, at, paused);
  d.effects.push({ type: paused ? "pauseReading" : "resumeReading" });
}
function setPaused(d, at, until) {
  const { flow } = d;
  if (until === null) {
    if (flow.paused) flow.pausedMs += at - flow.pausedSince;
    flow.paused = false;
    flow.pausedUntil = Infinity;
    return;
  }
  if (!flow.paused) flow.pausedSince = at;
  flow.paused = true;
  flow.pausedUntil = until;
}
function activeAt(flow, at) {
  return (flow.paused ? flow.pausedSince : at) - flow.pausedMs;
}

// src/protocol/outgoing.ts
var MESSAGE_IDS = 65535;
var NONE2 = [];
var BURST_MS = 100;
function windowLeft(d) {
  if (isCautious(d)) {
    const busy = d.outgoing.inFlight + d.outgoing.subscribing;
    return d.connection.pingAnswered && busy === 0 ? 1 : 0;
  }
  return Math.min(d.connection.limits.receiveMaximum, d.config.maxInflight) - d.outgoing.inFlight;
}
function waitingCount(session2) {
  return session2.waiting.length - session2.waitingAt;
}
function isCautious(d) {
  return d.session.cautiousBelow > 0;
}
function take(d, facts, at, holding) {
  d.counters.taken += facts.kind === "publish" ? facts.count : 1;
  endCaution(d);
  const { connection } = d;
  const ready = connection.kind === "connected" && !connection.birthsPending && !isCautious(d) && !holding;
  if (ready && mayPass(d, facts, at)) return send(d, facts, 0, at);
  hold(d, { facts, order: d.session.nextOrder++, strikes: 0 });
  if (ready && isGroup(facts) && d.outgoing.apart === 0) takeApart(d, facts.handle);
}
function isGroup(facts) {
  return facts.kind === "publish" && facts.count > 1;
}
function leavesWhole(d, facts, at) {
  return d.flow.perSecond === 0 && refusalOf(facts, d.connection.limits, at) === null;
}
function takenApart(d, handle2, messages, at) {
  const { session: session2, outgoing } = d;
  outgoing.apart = 0;
  session2.waiting = session2.waiting.slice(session2.waitingAt).flatMap((request2) => {
    if (request2.facts.handle !== handle2) return [request2];
    return messages.map((facts) => ({ ...request2, facts }));
  });
  session2.waitingAt = 0;
  flush(d, at);
}
function mayPass(d, facts, at) {
  if (facts.kind !== "publish") return d.open.size < MESSAGE_IDS;
  if (d.outgoing.apart !== 0) return false;
  if (facts.count > 1) return leavesWhole(d, facts, at);
  const queued = waitingCount(d.session) > 0;
  if (d.flow.perSecond > 0 && (queued || !mayTransmit(d, at))) return false;
  if (facts.qos === 0) return true;
  return !queued && !isResending(d) && windowLeft(d) > 0;
}
function isResending(d) {
  return d.outgoing.resendAt < d.outgoing.resend.length;
}
function takeBirths(d, births, at) {
  const held = [];
  for (const facts of births) {
    d.counters.taken++;
    const windowed = facts.kind === "publish" && facts.qos > 0;
    const connected = d.connection.kind === "connected";
    if (connected && (!windowed || held.length === 0 && windowLeft(d) > 0)) send(d, facts, 0, at);
    else {
      const request2 = { facts, order: d.session.nextOrder++, strikes: 0 };
      if (connected) held.push(request2);
      else hold(d, request2);
    }
  }
  if (held.length === 0) return;
  d.session.waiting = [...held, ...d.session.waiting.slice(d.session.waitingAt)];
  d.session.waitingAt = 0;
}
function hold(d, request2) {
  noteExpiry(d, request2.facts);
  d.session.waiting = [...d.session.waiting.slice(d.session.waitingAt), request2];
  d.session.waitingAt = 0;
}
function flush(d, at) {
  const { kind, opened: opened3, birthsPending } = d.connection;
  if (kind !== "connected" || !opened3 || birthsPending) return;
  endCaution(d);
  while (isResending(d)) {
    const messageId = d.outgoing.resend[d.outgoing.resendAt];
    const request2 = d.open.get(messageId);
    if (request2 !== void 0 && !resend(d, messageId, request2, at)) return;
    d.outgoing.resendAt++;
  }
  const { session: session2 } = d;
  while (session2.waitingAt < session2.waiting.length) {
    const request2 = session2.waiting[session2.waitingAt];
    if (!mayLeave(d, request2.facts, at)) return;
    if (isGroup(request2.facts) && !leavesWhole(d, request2.facts, at)) {
      return takeApart(d, request2.facts.handle);
    }
    session2.waitingAt++;
    send(d, request2.facts, request2.strikes, at);
    endCaution(d);
  }
  if (session2.waiting.length > 0) {
    session2.waiting = NONE2;
    session2.waitingAt = 0;
  }
}
function takeApart(d, handle2) {
  if (d.outgoing.apart === handle2) return;
  d.outgoing.apart = handle2;
  d.effects.push({ type: "takeApart", handle: handle2 });
}
function mayLeave(d, facts, at) {
  if (isCautious(d) && windowLeft(d) <= 0) return false;
  if (facts.kind !== "publish") return d.open.size < MESSAGE_IDS;
  if (isExpired(facts, at)) return true;
  if (facts.qos > 0 && windowLeft(d) <= 0) return false;
  return d.flow.perSecond === 0 || mayTransmit(d, at);
}
function mayTransmit(d, at) {
  return at >= transmissionDueAt(d.flow);
}
function transmissionDueAt(flow) {
  return flow.nextTransmissionAt - Math.max(0, BURST_MS - 1e3 / flow.perSecond);
}
function endCaution(d) {
  if (!isCautious(d) || isResending(d) || d.outgoing.inFlight + d.outgoing.subscribing > 0) return;
  const { waiting, waitingAt, cautiousBelow } = d.session;
  if (!waiting.some(({ order }, i) => i >= waitingAt && order < cautiousBelow)) {
    d.session.cautiousBelow = 0;
  }
}
function send(d, facts, strikes, at) {
  const refusal = refusalOf(facts, d.connection.limits, at);
  if (refusal !== null) return settle(d, facts.handle, refusal, null, true);
  if (facts.kind === "publish") return sendPublish(d, facts, strikes, at);
  const messageId = nextMessageId(d);
  d.outgoing.subscribing++;
  openRequest(d, messageId, facts, strikes, at);
  if (facts.kind === "subscribe") d.send({ type: "subscribe", messageId, facts });
  else d.send({ type: "unsubscribe", messageId, facts });
}
function sendPublish(d, facts, strikes, at) {
  if (d.flow.perSecond > 0) {
    d.flow.nextTransmissionAt = Math.max(d.flow.nextTransmissionAt, at) + 1e3 / d.flow.perSecond;
  }
  d.counters.sent += facts.count;
  const { handle: handle2, qos } = facts;
  const expirySeconds = secondsLeft(facts, at);
  if (qos === 0) {
    d.outgoing.unconfirmed += facts.count;
    d.send({ type: "publish", handle: handle2, qos, messageId: 0, dup: false, expirySeconds });
    return;
  }
  const messageId = nextMessageId(d);
  d.outgoing.inFlight++;
  openRequest(d, messageId, facts, strikes, at);
  d.send({ type: "publish", handle: handle2, qos, messageId, dup: false, expirySeconds });
}
function openRequest(d, messageId, facts, strikes, at) {
  d.session.owed++;
  d.open.set(messageId, {
    facts,
    stage: facts.kind,
    order: d.session.nextOrder++,
    epoch: d.connection.epoch,
    touchedEpoch: d.connection.epoch,
    sentAt: sentAt(d, at),
    strikes,
    settled: false
  });
}
function sentAt(d, at) {
  const { ackTimeout: ackTimeout2 } = d.config;
  if (ackTimeout2 === null) return 0;
  const now = activeAt(d.flow, at);
  d.outgoing.ackCheckAt = Math.min(d.outgoing.ackCheckAt, now + ackTimeout2.afterMs);
  return now;
}
function sendRenewal(d, facts, at) {
  const messageId = nextMessageId(d);
  const order = d.session.nextOrder++;
  const epoch = d.connection.epoch;
  d.outgoing.subscribing++;
  d.open.set(messageId, {
    facts,
    stage: "renewal",
    order,
    epoch,
    touchedEpoch: epoch,
    sentAt: sentAt(d, at),
    strikes: 0,
    settled: true
  });
  d.send({ type: "subscribe", messageId, facts });
}
function resend(d, messageId, request2, at) {
  const { facts, stage } = request2;
  if (isCautious(d) && windowLeft(d) <= 0) return false;
  const touchedEpoch = d.connection.epoch;
  if (stage === "pubrel") {
    d.open.set(messageId, { ...request2, touchedEpoch, sentAt: sentAt(d, at) });
    d.send({ type: "acknowledge", cmd: "pubrel", messageId, reasonCode: 0 });
    return true;
  }
  if (facts.kind === "publish" && windowLeft(d) <= 0) return false;
  const judged = facts.kind === "publish" ? { ...facts, expiresAt: 0 } : facts;
  const refusal = refusalOf(judged, d.connection.limits, at);
  if (refusal !== null) {
    d.open.remove(messageId);
    finish(d, request2, refusal, null);
    return true;
  }
  if (facts.kind === "publish") {
    d.outgoing.inFlight++;
    d.open.set(messageId, { ...request2, epoch: touchedEpoch, touchedEpoch, sentAt: sentAt(d, at) });
    const expirySeconds = secondsLeft(facts, at);
    const { handle: handle2, qos } = facts;
    d.send({ type: "publish", handle: handle2, qos, messageId, dup: true, expirySeconds });
    return true;
  }
  d.outgoing.subscribing++;
  d.open.set(messageId, { ...request2, epoch: touchedEpoch, touchedEpoch, sentAt: sentAt(d, at) });
  if (facts.kind === "subscribe") d.send({ type: "subscribe", messageId, facts });
  else d.send({ type: "unsubscribe", messageId, facts });
  return true;
}
function nextMessageId(d) {
  let id = d.session.nextMessageId;
  while (d.open.get(id) !== void 0) id = id === MESSAGE_IDS ? 1 : id + 1;
  d.session.nextMessageId = id === MESSAGE_IDS ? 1 : id + 1;
  return id;
}
function secondsLeft(facts, at) {
  return facts.expiresAt === 0 ? -1 : Math.max(1, Math.ceil((facts.expiresAt - at) / 1e3));
}
function finish(d, request2, failure2, packet) {
  if (request2.settled) {
    const { handle: handle2 } = request2.facts;
    if (handle2 === 0) return;
    d.effects.push({
      type: "settle",
      handle: handle2,
      failure: null,
      packet: null,
      outcome: false,
      release: true
    });
    return;
  }
  d.session.owed--;
  settle(d, request2.facts.handle, failure2, packet, true);
}
function settle(d, handle2, failure2, packet, release) {
  d.counters.settled++;
  d.effects.push({ type: "settle", handle: handle2, failure: failure2, packet, outcome: true, release });
}
function confirmed(d, taken) {
  const count2 = Math.min(taken, d.outgoing.unconfirmed);
  if (count2 === 0) return;
  d.outgoing.unconfirmed -= count2;
  d.counters.settled += count2;
  d.effects.push({ type: "confirm", count: count2, failure: null });
}
function outgoingConnected(d, sessionPresent, onSessionLost) {
  d.outgoing.resend = NONE2;
  d.outgoing.resendAt = 0;
  const open = inOrder(d.open.finish());
  if (sessionPresent) {
    const resend2 = [];
    const unanswered = [];
    for (const [messageId, { facts, stage }] of open) {
      if (stage !== "renewal") resend2.push(messageId);
      else {
        d.open.remove(messageId);
        unanswered.push(facts);
      }
    }
    d.outgoing.resend = resend2;
    return unanswered;
  }
  d.open.clear();
  const again = [];
  for (const [, request2] of open) {
    const { facts, stage, order, strikes } = request2;
    if (request2.settled || stage === "pubrel") {
      finish(d, request2, null, null);
    } else if (stage === "publish" && onSessionLost === "fail") {
      const message = "The server lost the session before it acknowledged this message.";
      finish(d, request2, requestFailure("connection", "SESSION_LOST", message), null);
    } else {
      d.session.owed--;
      noteExpiry(d, facts);
      again.push({ facts, order, strikes });
    }
  }
  if (again.length > 0) {
    d.session.waiting = [...again, ...d.session.waiting.slice(d.session.waitingAt)];
    d.session.waitingAt = 0;
  }
  return [];
}
function sortWaiting(d) {
  if (waitingCount(d.session) < 2) return;
  const waiting = d.session.waiting.slice(d.session.waitingAt);
  const windowed = (w) => w.facts.kind === "publish" && w.facts.qos > 0;
  waiting.sort((a, b) => Number(windowed(a)) - Number(windowed(b)));
  d.session.waiting = waiting;
  d.session.waitingAt = 0;
}
function inOrder(open) {
  return [...entries(open)].sort(([, a], [, b]) => a.order - b.order);
}
function outgoingLost(d, suspicious, failure2) {
  const { outgoing, session: session2 } = d;
  if (outgoing.unconfirmed > 0) {
    d.counters.settled += outgoing.unconfirmed;
    const message = "The connection was lost before the kernel took this QoS 0 message.";
    d.effects.push({
      type: "confirm",
      count: outgoing.unconfirmed,
      failure: { ...requestFailure("connection", "CONNECTION_LOST", message), ...cause(failure2) }
    });
  }
  const busy = outgoing.inFlight + outgoing.subscribing;
  if (suspicious && busy > 0 && d.config.quarantineAfter > 0) {
    session2.cautiousBelow = session2.nextOrder;
    if (d.connection.pingAnswered) strike(d, failure2);
  }
  outgoing.inFlight = 0;
  outgoing.subscribing = 0;
  outgoing.unconfirmed = 0;
  outgoing.ackCheckAt = Infinity;
  outgoing.resend = NONE2;
  outgoing.resendAt = 0;
}
function cause(failure2) {
  return failure2.cause === void 0 ? {} : { cause: failure2.cause };
}
function strike(d, failure2) {
  const { epoch } = d.connection;
  const open = [...entries(d.open.finish())].filter(([, one]) => one.touchedEpoch === epoch);
  const [suspect] = open;
  if (suspect === void 0 || open.length > 1) return;
  const [messageId, request2] = suspect;
  if (request2.stage === "pubrel" || request2.stage === "renewal") return;
  const strikes = request2.strikes + 1;
  if (strikes < d.config.quarantineAfter) {
    d.open.set(messageId, { ...request2, strikes });
    return;
  }
  d.open.remove(messageId);
  const message = `The server closed the connection ${strikes} times on this request alone (${failure2.code}); it is not sent again.`;
  const { reasonCode } = failure2;
  const verdict = requestFailure("refused", "QUARANTINED", message);
  finish(d, request2, reasonCode === void 0 ? verdict : { ...verdict, reasonCode }, null);
}
function cancel(d, handle2, cause2) {
  const message = "The request was cancelled by its signal.";
  const failure2 = { ...requestFailure("usage", "CANCELLED", message), cause: cause2 };
  const { waiting, waitingAt } = d.session;
  const index = waiting.findIndex((w, i) => i >= waitingAt && w.facts.handle === handle2);
  if (index >= 0) {
    d.session.waiting = waiting.filter((_, i) => i >= waitingAt && i !== index);
    d.session.waitingAt = 0;
    settle(d, handle2, failure2, null, true);
    return;
  }
  for (const [messageId, request2] of entries(d.open.finish())) {
    if (request2.facts.handle !== handle2 || request2.settled) continue;
    return settleEarly(d, messageId, request2, failure2);
  }
}
function settleEarly(d, messageId, request2, failure2) {
  d.open.set(messageId, { ...request2, settled: true });
  d.session.owed--;
  settle(d, request2.facts.handle, failure2, null, false);
}
function oldestSentAt(open, epoch) {
  let oldest = Infinity;
  for (const [, request2] of entries(open)) {
    if (request2.touchedEpoch === epoch && !request2.settled)
      oldest = Math.min(oldest, request2.sentAt);
  }
  return oldest;
}
function timeOut(d, sentBefore) {
  const message = "The server did not acknowledge in time (ackTimeout).";
  const failure2 = requestFailure("connection", "ACK_TIMEOUT", message);
  for (const [messageId, request2] of entries(d.open.finish())) {
    if (request2.settled || request2.touchedEpoch !== d.connection.epoch) continue;
    if (request2.sentAt <= sentBefore) settleEarly(d, messageId, request2, failure2);
  }
}
function expire(d, at) {
  const waiting = d.session.waiting.slice(d.session.waitingAt);
  d.session.waiting = waiting.filter(({ facts }) => !isExpired(facts, at));
  d.session.waitingAt = 0;
  d.session.waitingExpiresAt = Infinity;
  for (const { facts } of d.session.waiting) noteExpiry(d, facts);
  for (const { facts } of waiting) {
    if (!isExpired(facts, at)) continue;
    settle(d, facts.handle, refusalOf(facts, d.connection.limits, at), null, true);
  }
}
function noteExpiry(d, facts) {
  if (facts.kind !== "publish" || facts.expiresAt === 0) return;
  d.session.waitingExpiresAt = Math.min(d.session.waitingExpiresAt, facts.expiresAt);
}

// src/protocol/words.ts
function hex(code) {
  return `0x${code.toString(16).padStart(2, "0").toUpperCase()}`;
}

// src/protocol/answers.ts
function publishAnswered(d, packet, at) {
  const { cmd, messageId, reasonCode } = packet;
  const request2 = d.open.get(messageId);
  if (request2 === void 0) {
    if (cmd === "pubrec") {
      acknowledge(d, "pubrel", messageId, 146);
    }
    warnUnknown(d, cmd, messageId);
    return null;
  }
  const { facts, stage } = request2;
  if (facts.kind !== "publish" || cmd === "puback" !== (facts.qos === 1)) {
    const message = `${cmd.toUpperCase()} for packet identifier ${messageId}, which is a ${nameOf2(request2)}`;
    return { clause: cmd === "puback" ? "MQTT-4.3.2-1" : "MQTT-4.3.3-1", message };
  }
  if (cmd === "pubcomp" && stage !== "pubrel") {
    return {
      clause: "MQTT-4.3.3-1",
      message: `PUBCOMP before PUBREC for packet identifier ${messageId}`
    };
  }
  answer(d, packet, facts.handle);
  if (cmd === "pubrec" && reasonCode < 128) {
    if (stage === "publish") d.open.set(messageId, { ...request2, stage: "pubrel" });
    acknowledge(d, "pubrel", messageId, 0);
    return null;
  }
  d.open.remove(messageId);
  if (request2.epoch === d.connection.epoch) d.outgoing.inFlight--;
  if (reasonCode < 128) d.counters.acknowledged++;
  finish(d, request2, reasonCode < 128 ? null : negative(packet, reasonCode), packet);
  if (isResending(d) || d.session.waiting.length > 0 || isCautious(d)) flush(d, at);
  return null;
}
function subscriptionAnswered(d, packet, protocolVersion, at) {
  const { cmd, messageId, granted } = packet;
  const request2 = d.open.get(messageId);
  if (request2 === void 0) {
    warnUnknown(d, cmd, messageId);
    return null;
  }
  const { facts } = request2;
  const wanted = cmd === "suback" ? "subscribe" : "unsubscribe";
  if (facts.kind !== wanted) {
    const message = `${cmd.toUpperCase()} for packet identifier ${messageId}, which is a ${nameOf2(request2)}`;
    return { clause: "MQTT-3.8.4-2", message };
  }
  const filters = facts.kind === "subscribe" ? facts.subscriptions.length : facts.unsubscriptions.length;
  const coded = cmd === "suback" || protocolVersion === 5;
  if (coded && granted.length !== filters) {
    const message = `${cmd.toUpperCase()} with ${granted.length} reason codes for ${filters} filters`;
    return { clause: cmd === "suback" ? "MQTT-3.8.4-6" : "MQTT-3.11.3-1", message };
  }
  d.open.remove(messageId);
  if (request2.epoch === d.connection.epoch) d.outgoing.subscribing--;
  answer(d, packet, facts.handle);
  const refusal = granted.find((code) => code >= 128);
  if (request2.stage !== "renewal") {
    finish(d, request2, refusal === void 0 ? null : negative(packet, refusal), packet);
  }
  flush(d, at);
  return request2;
}
function answer(d, packet, handle2) {
  d.flow.bufferedPackets++;
  d.flow.bufferedBytes += ANSWER_BYTES;
  d.effects.push({
    type: "yield",
    packet,
    handle: handle2,
    sequence: 0,
    deliveryId: 0,
    redelivered: false,
    bytes: ANSWER_BYTES
  });
}
var ANSWER_BYTES = 64;
function nameOf2(request2) {
  if (request2.facts.kind !== "publish") return request2.facts.kind.toUpperCase();
  return `PUBLISH at QoS ${request2.facts.qos}`;
}
function negative(packet, reasonCode) {
  const reason = packet.properties?.["reasonString"];
  return {
    phase: "request",
    source: "refused",
    code: "NEGATIVE_ACKNOWLEDGEMENT",
    retryable: false,
    reasonCode,
    packet,
    message: `The server refused with ${hex(reasonCode)} in its ${packet.cmd.toUpperCase()}${typeof reason === "string" ? `: ${reason}` : "."}`
  };
}
function warnUnknown(d, cmd, messageId) {
  const message = `${cmd.toUpperCase()} for packet identifier ${messageId}, which is not in use; ignored.`;
  d.effects.push({ type: "warn", code: "UNKNOWN_PACKET_IDENTIFIER", message });
}
function acknowledge(d, cmd, messageId, reasonCode) {
  d.send({ type: "acknowledge", cmd, messageId, reasonCode });
}

// src/protocol/handshake.ts
var DEFAULT_LIMITS = Object.freeze({
  receiveMaximum: 65535,
  maximumPacketSize: 268435460,
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  subscriptionIdentifiersAvailable: true,
  sharedSubscriptionAvailable: true,
  sessionExpiryInterval: 0
});
function limitsOf(connack, config) {
  const p = connack.properties ?? {};
  return {
    receiveMaximum: p["receiveMaximum"] ?? DEFAULT_LIMITS.receiveMaximum,
    maximumPacketSize: p["maximumPacketSize"] ?? DEFAULT_LIMITS.maximumPacketSize,
    maximumQoS: p["maximumQoS"] ?? 2,
    retainAvailable: p["retainAvailable"] !== false,
    wildcardSubscriptionAvailable: p["wildcardSubscriptionAvailable"] !== false,
    subscriptionIdentifiersAvailable: p["subscriptionIdentifiersAvailable"] !== false,
    sharedSubscriptionAvailable: p["sharedSubscriptionAvailable"] !== false,
    sessionExpiryInterval: p["sessionExpiryInterval"] ?? config.sessionExpiryInterval
  };
}
var REASONS = {
  128: { code: "UNSPECIFIED_ERROR", retryable: true, says: "unspecified error" },
  129: { code: "MALFORMED_PACKET", retryable: true, says: "malformed packet" },
  130: { code: "PROTOCOL_ERROR", retryable: true, says: "protocol error" },
  131: { code: "IMPLEMENTATION_ERROR", retryable: true, says: "implementation specific error" },
  132: { code: "UNSUPPORTED_VERSION", retryable: false, says: "unsupported protocol version" },
  133: { code: "CLIENT_ID_REFUSED", retryable: false, says: "client identifier not valid" },
  134: { code: "BAD_CREDENTIALS", retryable: false, says: "bad user name or password" },
  135: { code: "NOT_AUTHORIZED", retryable: false, says: "not authorized" },
  136: { code: "SERVER_UNAVAILABLE", retryable: true, says: "server unavailable" },
  137: { code: "SERVER_BUSY", retryable: true, says: "server busy" },
  138: { code: "BANNED", retryable: false, says: "banned" },
  139: { code: "SERVER_SHUTTING_DOWN", retryable: true, says: "server shutting down" },
  140: { code: "BAD_AUTHENTICATION_METHOD", retryable: false, says: "bad authentication method" },
  141: { code: "KEEP_ALIVE_TIMEOUT", retryable: true, says: "keep alive timeout" },
  142: {
    code: "SESSION_TAKEN_OVER",
    retryable: false,
    says: "session taken over by another client with the same client identifier"
  },
  143: { code: "TOPIC_FILTER_INVALID", retryable: true, says: "topic filter invalid" },
  144: { code: "TOPIC_NAME_INVALID", retryable: true, says: "topic name invalid" },
  147: { code: "RECEIVE_MAXIMUM_EXCEEDED", retryable: true, says: "receive maximum exceeded" },
  148: { code: "TOPIC_ALIAS_INVALID", retryable: true, says: "topic alias invalid" },
  149: { code: "PACKET_TOO_LARGE", retryable: true, says: "packet too large" },
  150: { code: "MESSAGE_RATE_TOO_HIGH", retryable: true, says: "message rate too high" },
  151: { code: "QUOTA_EXCEEDED", retryable: true, says: "quota exceeded" },
  152: { code: "ADMINISTRATIVE_ACTION", retryable: true, says: "administrative action" },
  153: { code: "PAYLOAD_FORMAT_INVALID", retryable: true, says: "payload format invalid" },
  154: { code: "RETAIN_NOT_SUPPORTED", retryable: true, says: "retain not supported" },
  155: { code: "QOS_NOT_SUPPORTED", retryable: true, says: "QoS not supported" },
  156: { code: "USE_ANOTHER_SERVER", retryable: true, says: "use another server" },
  157: { code: "SERVER_MOVED", retryable: false, says: "server moved" },
  158: {
    code: "SHARED_SUBSCRIPTIONS_NOT_SUPPORTED",
    retryable: true,
    says: "shared subscriptions not supported"
  },
  159: { code: "CONNECTION_RATE_EXCEEDED", retryable: true, says: "connection rate exceeded" },
  160: { code: "MAXIMUM_CONNECT_TIME", retryable: true, says: "maximum connect time" },
  161: {
    code: "SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED",
    retryable: true,
    says: "subscription identifiers not supported"
  },
  162: {
    code: "WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED",
    retryable: true,
    says: "wildcard subscriptions not supported"
  }
};
var OURS_IN_CONNACK = /* @__PURE__ */ new Set([129, 130, 144, 149, 153, 154, 155]);
var RETURN_CODES = {
  1: REASONS[132],
  2: REASONS[133],
  3: REASONS[136],
  4: REASONS[134],
  5: REASONS[135]
};
var RETRYABLE_IN_DISCONNECT = /* @__PURE__ */ new Set([135]);
var UNDEFINED_CODE = {
  code: "UNSPECIFIED_ERROR",
  retryable: true,
  says: "no defined reason"
};
function connackRefusal(packet) {
  const code = packet.reasonCode ?? packet.returnCode ?? 0;
  if (code === 0) return null;
  const table = packet.reasonCode === void 0 ? RETURN_CODES : REASONS;
  const verdict = table[code] ?? UNDEFINED_CODE;
  const ours = packet.reasonCode !== void 0 && OURS_IN_CONNACK.has(code);
  return {
    phase: "handshake",
    source: "refused",
    code: verdict.code,
    retryable: verdict.retryable && !ours,
    reasonCode: code,
    packet,
    message: `The server refused the connection: ${verdict.says} (${hex(code)})${words(packet)}.`
  };
}
function disconnectFailure(packet) {
  const table = REASONS;
  const verdict = table[packet.reasonCode] ?? UNDEFINED_CODE;
  return {
    phase: "connected",
    source: "refused",
    code: packet.reasonCode === 0 ? "SERVER_DISCONNECTED" : verdict.code,
    retryable: verdict.retryable || RETRYABLE_IN_DISCONNECT.has(packet.reasonCode),
    reasonCode: packet.reasonCode,
    packet,
    message: `The server closed the connection: ${packet.reasonCode === 0 ? "normal disconnection" : verdict.says} (${hex(packet.reasonCode)})${words(packet)}.`
  };
}
function words(packet) {
  const reason = packet.properties?.["reasonString"];
  const reference = packet.properties?.["serverReference"];
  const said = typeof reason === "string" ? `, "${reason}"` : "";
  return typeof reference === "string" ? `${said}, it names ${reference} instead` : said;
}
var SUSPICIOUS = /* @__PURE__ */ new Set([129, 130, 135, 144, 149, 153, 155]);

// src/protocol/incoming.ts
var placeOf = (sequence) => sequence & 65535;
var PENDING_MAX = 65535;
function publishReceived(d, packet, at) {
  const aliased = packet.properties?.["topicAlias"] !== void 0 || packet.topic === "";
  const resolved = aliased ? resolveAlias(d, packet) : packet;
  if ("reasonCode" in resolved) return resolved;
  d.counters.received++;
  if (resolved.qos === 0) {
    handOver(d, resolved, 0, 0, false);
    return null;
  }
  const messageId = resolved.messageId;
  const known = d.received.size > 0 ? d.received.get(messageId) : void 0;
  if (resolved.qos === 1 && known !== void 0) {
    const message = `QoS 1 PUBLISH with packet identifier ${messageId}, which a QoS 2 message has`;
    return { reasonCode: 130, clause: "MQTT-2.2.1-4", message };
  }
  if (known !== void 0 && known.pendingSequence >= d.incoming.epochFrom) {
    if (known.pendingSequence < d.incoming.pendingFrom) {
      d.send({ type: "acknowledge", cmd: "pubrec", messageId, reasonCode: 0 });
    }
    return null;
  }
  const excess = overQuota(d);
  if (excess !== null) return excess;
  if (resolved.qos === 1) qos1Received(d, resolved, messageId, at);
  else qos2Received(d, resolved, messageId, known, at);
  return null;
}
function overQuota(d) {
  const quota = d.connection.protocolVersion === 5 ? d.config.receiveMaximum : PENDING_MAX;
  if (d.incoming.unacknowledged < quota && d.pending.size < PENDING_MAX) return null;
  const message = `More than ${quota} messages without acknowledgement (Receive Maximum)`;
  return { reasonCode: 147, clause: "MQTT-3.3.4-9", message };
}
function qos1Received(d, packet, messageId, at) {
  const sequence = d.incoming.nextSequence++;
  if (d.config.acks === "receipt") {
    d.incoming.pendingFrom = d.incoming.nextSequence;
    d.send({ type: "acknowledge", cmd: "puback", messageId, reasonCode: 0 });
  } else {
    d.incoming.unacknowledged++;
    d.pending.set(placeOf(sequence), {
      messageId,
      qos: 1,
      acknowledged: false,
      reasonCode: 0,
      at
    });
  }
  handOver(d, packet, d.config.acks === "receipt" ? 0 : sequence, 0, false);
}
function qos2Received(d, packet, messageId, known, at) {
  d.incoming.unacknowledged++;
  const sequence = d.incoming.nextSequence++;
  const seen2 = known !== void 0 && (known.stage === "handled" || known.stage === "arrived");
  const handled = known?.stage === "handled" || d.config.acks === "receipt";
  const deliveryId = known?.deliveryId ?? d.session.nextDeliveryId++;
  d.received.set(messageId, {
    deliveryId,
    sequence: seen2 ? known.sequence : sequence,
    pendingSequence: sequence,
    stage: handled ? "handled" : "arrived",
    again: known?.again ?? false
  });
  const owed = d.config.acks === "receipt" ? 0 : sequence;
  if (!seen2) handOver(d, packet, owed, deliveryId, known?.again ?? false);
  d.pending.set(placeOf(sequence), {
    messageId,
    qos: 2,
    acknowledged: handled,
    reasonCode: 0,
    at
  });
  if (handled) acknowledgeHead(d);
}
function handOver(d, packet, sequence, deliveryId, redelivered) {
  const bytes = weightOf(packet);
  d.flow.bufferedPackets++;
  d.flow.bufferedBytes += bytes;
  d.effects.push({ type: "yield", packet, handle: 0, sequence, deliveryId, redelivered, bytes });
}
var MESSAGE_OVERHEAD_BYTES = 200;
var PROPERTY_BYTES = 100;
function weightOf(packet) {
  const bytes = packet.payload.length + packet.topic.length + MESSAGE_OVERHEAD_BYTES;
  return packet.properties === void 0 ? bytes : bytes + propertiesWeight(packet.properties);
}
function propertiesWeight(properties) {
  let bytes = 0;
  for (const value of Object.values(properties)) {
    bytes += PROPERTY_BYTES;
    if (typeof value === "string") bytes += value.length;
    else if (ArrayBuffer.isView(value)) bytes += value.byteLength;
    else if (typeof value === "object" && value !== null) bytes += propertiesWeight(value);
  }
  return bytes;
}
function pubrelReceived(d, packet) {
  const { messageId } = packet;
  const known = d.received.get(messageId);
  if (known !== void 0 && known.stage !== "handled") {
    const message = `PUBREL for packet identifier ${messageId} before PUBREC`;
    return { reasonCode: 130, clause: "MQTT-4.3.3-6", message };
  }
  if (known !== void 0) {
    d.received.remove(messageId);
    if (known.pendingSequence >= d.incoming.epochFrom) d.incoming.unacknowledged--;
  }
  const reasonCode = known === void 0 ? 146 : 0;
  d.send({ type: "acknowledge", cmd: "pubcomp", messageId, reasonCode });
  return null;
}
function handledThrough(d, sequence) {
  for (let s = d.incoming.pendingFrom; s <= sequence; s++) mark(d, s, 0);
  acknowledgeHead(d);
  if (d.incoming.inHand === 0) return;
  for (const [messageId, message] of entries(d.received.finish())) {
    if (message.stage === "arrived" && message.sequence <= sequence) {
      handledEarlier(d, messageId, message, 0);
    }
  }
  acknowledgeHead(d);
}
function acknowledged(d, sequence, messageId, reasonCode) {
  if (sequence >= d.incoming.epochFrom) mark(d, sequence, reasonCode);
  else {
    const message = d.received.get(messageId);
    if (message?.sequence === sequence) handledEarlier(d, messageId, message, reasonCode);
  }
  acknowledgeHead(d);
}
function handledEarlier(d, messageId, message, reasonCode) {
  if (message.stage !== "arrived") return;
  d.incoming.inHand = Math.max(0, d.incoming.inHand - 1);
  if (message.pendingSequence >= d.incoming.epochFrom) mark(d, message.pendingSequence, reasonCode);
  else d.received.set(messageId, { ...message, stage: "handled" });
}
function mark(d, sequence, reasonCode) {
  if (sequence < d.incoming.pendingFrom) return;
  const waiting = d.pending.get(placeOf(sequence));
  if (waiting === void 0 || waiting.acknowledged) return;
  d.pending.set(placeOf(sequence), { ...waiting, acknowledged: true, reasonCode });
  if (waiting.qos === 1) return;
  const message = d.received.get(waiting.messageId);
  if (message === void 0) return;
  if (reasonCode < 128) d.received.set(waiting.messageId, { ...message, stage: "handled" });
  else d.received.remove(waiting.messageId);
}
function acknowledgeHead(d) {
  const { incoming } = d;
  while (incoming.pendingFrom < incoming.nextSequence) {
    const place = placeOf(incoming.pendingFrom);
    const head = d.pending.get(place);
    if (head !== void 0) {
      if (!head.acknowledged) return;
      d.pending.remove(place);
      const { messageId, qos, reasonCode } = head;
      if (qos === 1 || reasonCode >= 128) incoming.unacknowledged--;
      const cmd = qos === 1 ? "puback" : "pubrec";
      d.send({ type: "acknowledge", cmd, messageId, reasonCode });
    }
    incoming.pendingFrom++;
  }
}
function headOf(d) {
  return d.pending.get(placeOf(d.incoming.pendingFrom));
}
function forgottenAt(config, incoming, head = lookup(incoming.pending, placeOf(incoming.pendingFrom))) {
  if (config.acks !== "manual" || incoming.warnedFrom === incoming.pendingFrom) return Infinity;
  return head === void 0 ? Infinity : head.at + config.warnAfterMs;
}
function isPending(incoming, sequence) {
  if (sequence < incoming.pendingFrom || sequence < incoming.epochFrom) return false;
  return lookup(incoming.pending, placeOf(sequence))?.acknowledged === false;
}
function incomingLost(d) {
  const { incoming } = d;
  let inHand = 0;
  for (const [messageId, message] of entries(d.received.finish())) {
    if (message.stage !== "arrived") continue;
    if (message.sequence <= incoming.yieldedThrough) inHand++;
    else d.received.set(messageId, { ...message, stage: message.again ? "restored" : "unseen" });
  }
  d.pending.clear();
  incoming.inHand = inHand;
  incoming.pendingFrom = incoming.nextSequence;
  incoming.epochFrom = incoming.nextSequence;
  incoming.unacknowledged = 0;
  incoming.aliases = [];
  d.effects.push({ type: "withhold" });
}
function incomingConnected(d, sessionPresent) {
  if (!sessionPresent) {
    d.received.clear();
    d.incoming.inHand = 0;
  }
  d.effects.push({ type: "unwithhold", drop: sessionPresent, before: d.incoming.epochFrom });
}
function resolveAlias(d, packet) {
  const alias = packet.properties?.["topicAlias"];
  const { topicAliasMaximum } = d.config;
  if (alias === void 0) {
    return {
      reasonCode: 130,
      clause: "MQTT-4.7.3-1",
      message: "PUBLISH without a topic and without an alias"
    };
  }
  if (alias === 0 || alias > topicAliasMaximum) {
    const message = `Topic Alias ${alias}, ${topicAliasMaximum} is the Topic Alias Maximum`;
    return { reasonCode: 148, clause: "MQTT-3.3.2-9", message };
  }
  const { aliases } = d.incoming;
  if (packet.topic !== "") {
    const changed = aliases.slice();
    while (changed.length <= alias) changed.push(void 0);
    changed[alias] = packet.topic;
    d.incoming.aliases = changed;
    return packet;
  }
  const topic = aliases[alias];
  if (topic === void 0) {
    const message = `Topic Alias ${alias} was never given a topic on this connection`;
    return { reasonCode: 130, clause: "MQTT-3.3.2-12", message };
  }
  return { ...packet, topic };
}

// src/protocol/reconnect.ts
var ATTEMPTS_MAX = 40;
var STABLE_DELAY_MS = 1e3;
var FIRST_CAP_MS = 1e3;
var CROWDED = /* @__PURE__ */ new Set([
  "SERVER_BUSY",
  "QUOTA_EXCEEDED",
  "CONNECTION_RATE_EXCEEDED"
]);
function retryDelayMs(policy, attempt, failure2, stable, random) {
  if (stable) return random * STABLE_DELAY_MS;
  const crowded = CROWDED.has(failure2.code);
  const exponent = Math.min(crowded ? attempt + 4 : attempt, ATTEMPTS_MAX);
  const span = Math.min(policy.maxMs, FIRST_CAP_MS * 2 ** exponent);
  const spread = crowded || failure2.phase === "dial" ? 1 / 3 + random * 2 / 3 : random;
  return policy.minMs + spread * span;
}
var EARLY = /* @__PURE__ */ new Set(["ENOTFOUND", "CERT_NOT_YET_VALID"]);
function mayRetry(state, failure2) {
  const { when } = state.policy;
  if (when === "never" || when === "after-first-success" && !state.everConnected) return false;
  return failure2.retryable || EARLY.has(failure2.code);
}

// src/protocol/connection.ts
var CLOSE_MS = 1e3;
var QUICK_CLOSE_MS = 5e3;
var QUICK_CLOSES = 5;
function dial(d, at, connectBy) {
  const { connection } = d;
  connection.kind = "connecting";
  connection.engaged = true;
  connection.opened = false;
  connection.heard = false;
  connection.verdict = null;
  connection.closeBy = Infinity;
  connection.retryAt = Infinity;
  connection.connectBy = Math.max(connectBy, at);
  connection.protocolVersion = d.reconnect.version;
  connection.connackAt = -1;
  connection.pings = 0;
  connection.pingAnswered = false;
  d.keepAlive = keepAliveStart(0, at);
  d.effects.push({ type: "dial", protocolVersion: d.reconnect.version });
}
function opened2(d) {
  const { connection } = d;
  if (connection.kind !== "connecting" || connection.opened) return;
  connection.opened = true;
  const { protocolVersion } = connection;
  d.send({ type: "connect", cleanStart: asksCleanStart(d), protocolVersion });
}
function asksCleanStart(d) {
  const { config, connection } = d;
  if (connection.protocolVersion < 5) return config.cleanStart;
  return connection.epoch === 0 && (config.cleanStart || config.store === "empty");
}
function connackReceived(d, packet, at) {
  const { connection, session: session2, config } = d;
  const refusal = connackRefusal(packet);
  if (refusal !== null) {
    if (refusal.code === "UNSUPPORTED_VERSION" && fallBack(d, at)) return;
    return drop2(d, at, refusal, "retry", false);
  }
  const rule = connackViolation(d, packet);
  if (rule !== null) return violation(d, at, 130, rule.clause, rule.message, rule.fatal);
  const limits = limitsOf(packet, config);
  if (limits.maximumPacketSize < ACK_BYTES) {
    const message = `The server takes packets of ${limits.maximumPacketSize} bytes at most: nothing can be sent.`;
    return drop2(
      d,
      at,
      failure("handshake", "refused", "SERVER_LIMITS", false, message),
      "fail",
      false
    );
  }
  const { sessionPresent } = packet;
  const first = connection.epoch === 0;
  connection.kind = "connected";
  connection.epoch++;
  connection.connackAt = at;
  connection.connectBy = Infinity;
  connection.connack = packet;
  connection.limits = limits;
  connection.birthsPending = config.hasBirths;
  d.reconnect.everConnected = true;
  d.reconnect.versionMayFall = false;
  session2.protocolVersion = connection.protocolVersion;
  const assigned = packet.properties?.["assignedClientIdentifier"];
  if (typeof assigned === "string") session2.clientId = assigned;
  const seconds = packet.properties?.["serverKeepAlive"];
  d.keepAlive = keepAliveStart(seconds ?? config.keepAlive, at);
  session2.adopted = sessionPresent && (session2.adopted || first && adopts(d));
  incomingConnected(d, sessionPresent);
  handOver2(d, packet);
  const unanswered = outgoingConnected(d, sessionPresent, config.onSessionLost);
  sortWaiting(d);
  const wanted = sessionPresent ? unanswered.flatMap(subscriptionsIn) : subscriptionsOf(d.subscriptions.finish());
  for (const facts of renewals(d, wanted)) sendRenewal(d, facts, at);
  if (session2.cautiousBelow > 0) ping(d, at);
  if (config.hasBirths) d.effects.push({ type: "births", packet });
  else flush(d, at);
}
var ACK_BYTES = 4;
function adopts(d) {
  return d.config.adopt || !d.config.resumes && d.connection.protocolVersion < 5;
}
function connackViolation(d, packet) {
  const { config, connection } = d;
  if (packet.sessionPresent && asksCleanStart(d)) {
    const message = "CONNACK with Session Present 1 after Clean Start 1";
    return { clause: "MQTT-3.2.2-4", message, fatal: false };
  }
  const known = connection.epoch > 0 || config.resumes || config.adopt;
  if (packet.sessionPresent && !known && connection.protocolVersion === 5) {
    const message = 'The server holds a session of which this process knows nothing. Pass the saved session as the option `session`, take the session as it stands with session: "adopt", or begin anew with cleanStart: true';
    return { clause: "MQTT-3.2.2-4", message, fatal: true };
  }
  const method = packet.properties?.["authenticationMethod"];
  if (method !== void 0 && method !== config.authenticationMethod) {
    const message = "CONNACK with an Authentication Method that was not asked for";
    return { clause: "MQTT-4.12.0-5", message, fatal: false };
  }
  if (config.authenticationMethod !== null && method === void 0) {
    const message = "CONNACK without the Authentication Method of the CONNECT";
    return { clause: "MQTT-4.12.0-5", message, fatal: false };
  }
  if (packet.properties?.["authenticationData"] !== void 0 && method === void 0) {
    const message = "CONNACK with Authentication Data and no Authentication Method";
    return { clause: "MQTT-4.12.0-5", message, fatal: false };
  }
  return null;
}
function fallBack(d, at) {
  const { reconnect: reconnect2, connection } = d;
  if (!reconnect2.versionMayFall || connection.protocolVersion !== 5) return false;
  if (d.session.clientId === "" && !d.config.cleanStart) return false;
  reconnect2.version = 4;
  reconnect2.versionMayFall = false;
  if (connection.engaged && connection.verdict === null && connection.kind === "connecting") {
    const message = "The server does not speak MQTT 5; asking for 3.1.1.";
    connection.reason = failure("handshake", "refused", "UNSUPPORTED_VERSION", true, message);
    connection.verdict = "now";
    connection.kind = "disconnected";
    connection.closeBy = at;
    d.effects.push({ type: "destroy" });
  }
  return true;
}
function handOver2(d, packet) {
  d.flow.bufferedPackets++;
  d.flow.bufferedBytes += ANSWER_BYTES;
  d.effects.push({
    type: "yield",
    packet,
    handle: 0,
    sequence: 0,
    deliveryId: 0,
    redelivered: false,
    bytes: ANSWER_BYTES
  });
}
function violation(d, at, reasonCode, clause, message, fatal = false) {
  const { kind, protocolVersion, limits } = d.connection;
  if (kind !== "connected" && kind !== "connecting") return;
  if (protocolVersion === 5 && d.connection.opened && limits.maximumPacketSize >= 3) {
    d.send({ type: "disconnect", reasonCode, properties: void 0 });
  }
  const phase = kind === "connected" ? "connected" : "handshake";
  const broken = {
    ...failure(phase, "protocol", "PROTOCOL", !fatal, `${message} [${clause}].`),
    reasonCode,
    clause
  };
  drop2(d, at, broken, fatal ? "fail" : "retry", false);
}
function failure(phase, source, code, retryable, message) {
  return { phase, source, code, retryable, message };
}
function drop2(d, at, reason, verdict, suspicious) {
  down(d, at, reason, suspicious);
  d.connection.kind = "disconnected";
  d.connection.verdict = verdict;
  d.connection.closeBy = at + CLOSE_MS;
  d.effects.push({ type: "close", patient: false });
}
function down(d, at, reason, suspicious) {
  const { connection, reconnect: reconnect2 } = d;
  connection.reason = reason;
  if (connection.kind === "connected" || connection.kind === "closing") {
    outgoingLost(d, suspicious, reason);
    incomingLost(d);
  }
  const stable = connection.connackAt >= 0 && at - connection.connackAt >= reconnect2.policy.stableMs;
  reconnect2.attempt = stable ? -1 : Math.max(0, reconnect2.attempt);
  connection.birthsPending = false;
  connection.connack = null;
  d.flow.congested = false;
}
function lost(d, input) {
  const { connection, reconnect: reconnect2 } = d;
  const { at } = input;
  if (!connection.engaged) return;
  connection.engaged = false;
  connection.opened = false;
  connection.closeBy = Infinity;
  let verdict = connection.verdict;
  if (verdict === null) {
    const was = connection.kind;
    const mute = was === "connecting" && !connection.heard && input.byPeer;
    if (mute && fallBack(d, at)) verdict = "now";
    else {
      const suspicious = input.byPeer && connection.protocolVersion < 5;
      noteQuickClose(d, at, input.byPeer);
      down(d, at, input.failure, suspicious);
      verdict = "retry";
    }
  }
  connection.verdict = null;
  const reason = { ...connection.reason ?? input.failure };
  if (verdict === "end") return finished(d, connection.endsWith);
  if (verdict === "now") {
    connection.kind = "disconnected";
    return dial(d, at, Math.min(connection.connectBy, at + d.config.connectTimeoutMs));
  }
  const judged = { ...reason, retryable: input.retryable ?? reason.retryable };
  const allowed = input.retryable === true ? whenAllows(d) : mayRetry(reconnect2, judged);
  if (verdict === "fail" || !allowed) return finished(d, connection.endsWith ?? judged);
  const stable = reconnect2.attempt < 0;
  const attempt = Math.max(0, reconnect2.attempt);
  connection.kind = "disconnected";
  connection.reason = judged;
  connection.retryAt = at + retryDelayMs(reconnect2.policy, attempt, judged, stable, input.random);
  reconnect2.attempt = stable ? 0 : attempt + 1;
  countReconnection(d, judged.code);
  if (verdict === "retryAtOnce") dial(d, at, at + d.config.connectTimeoutMs);
}
function whenAllows(d) {
  return mayRetry(d.reconnect, failure("dial", "connection", "", true, ""));
}
function noteQuickClose(d, at, byPeer) {
  const { connection, reconnect: reconnect2 } = d;
  const quick = byPeer && connection.protocolVersion < 5 && connection.kind === "connected" && at - connection.connackAt < QUICK_CLOSE_MS;
  reconnect2.quickCloses = quick ? reconnect2.quickCloses + 1 : 0;
  if (reconnect2.quickCloses !== QUICK_CLOSES) return;
  const message = `The server closed ${QUICK_CLOSES} connections in a row right after accepting them. Is another client using the client identifier "${d.session.clientId}"?`;
  d.effects.push({ type: "warn", code: "SESSION_TAKEN_OVER_SUSPECTED", message });
}
function reconnect(d, policy, at) {
  if (policy !== null) d.reconnect.policy = policy;
  const { connection } = d;
  if (connection.kind === "connected") {
    d.send({ type: "disconnect", reasonCode: 0, properties: void 0 });
    const message = "The user asked to reconnect.";
    drop2(d, at, failure("connected", "usage", "RECONNECT", true, message), "now", false);
    connection.connectBy = Infinity;
    countReconnection(d, "RECONNECT");
  } else if (connection.kind === "disconnected" && !connection.engaged) {
    dial(d, at, at + d.config.connectTimeoutMs);
  } else if (connection.kind === "disconnected" && connection.verdict === "retry") {
    connection.verdict = "retryAtOnce";
  }
}
function countReconnection(d, code) {
  const { reconnections } = d.counters;
  d.counters.reconnections = { ...reconnections, [code]: (reconnections[code] ?? 0) + 1 };
}
function endWhenDone(d, at) {
  const { connection, session: session2, outgoing } = d;
  if (connection.kind === "closing" || connection.verdict === "end") return;
  const settled = session2.owed === 0 && waitingCount(session2) === 0 && outgoing.unconfirmed === 0;
  if (connection.drainBy < Infinity && (settled || at >= connection.drainBy)) return close(d, at);
  if (connection.kind !== "connected" || connection.birthsPending || !settled) return;
  const { until } = d.config;
  if (until === "closed" || !d.flow.requestsEnded || d.flow.bufferedPackets > 0) return;
  if (until === "idle" && (session2.subscriptionCount > 0 || session2.adopted)) return;
  if (d.config.acks !== "manual" && (d.pending.size > 0 || d.received.size > 0)) return;
  close(d, at);
}
function close(d, at) {
  const { connection } = d;
  if (connection.verdict === "end") return;
  if (connection.kind === "connected") {
    const forget = d.config.cleanStart && connection.limits.sessionExpiryInterval > 0;
    const properties = connection.protocolVersion === 5 && forget ? { sessionExpiryInterval: 0 } : void 0;
    const { disconnectReason: reasonCode } = d.config;
    d.send({ type: "disconnect", reasonCode, properties });
    d.effects.push({ type: "close", patient: true });
    connection.closeBy = at + CLOSE_MS;
  } else if (connection.engaged) {
    if (connection.verdict === null) d.effects.push({ type: "destroy" });
  } else {
    return finished(d, connection.endsWith);
  }
  if (connection.kind === "connected") incomingLost(d);
  connection.kind = "closing";
  connection.verdict = "end";
}
function finished(d, reason) {
  const { connection } = d;
  outgoingLost(d, false, reason ?? ENDED);
  connection.kind = reason === null ? "closed" : "failed";
  connection.reason = reason;
  connection.retryAt = Infinity;
  d.effects.push({ type: "finished", failure: reason });
}
var ENDED = failure("connected", "connection", "CLOSED", false, "The loop has ended.");
function ping(d, at) {
  d.connection.pings++;
  keepAlivePinged(d.keepAlive, at);
  d.send({ type: "pingreq" });
}

// src/protocol/draft.ts
var Draft = class {
  effects = [];
  config;
  session;
  connection;
  keepAlive;
  reconnect;
  outgoing;
  incoming;
  flow;
  counters;
  open;
  received;
  pending;
  subscriptions;
  constructor(state) {
    this.config = state.config;
    this.session = { ...state.session };
    this.connection = { ...state.connection };
    this.keepAlive = { ...state.keepAlive };
    this.reconnect = { ...state.reconnect };
    this.outgoing = { ...state.outgoing };
    this.incoming = { ...state.incoming };
    this.flow = { ...state.flow };
    this.counters = { ...state.counters };
    this.open = new TableEditor(state.session.open);
    this.received = new TableEditor(state.session.received);
    this.pending = new TableEditor(state.incoming.pending);
    this.subscriptions = new TableEditor(state.session.subscriptions);
  }
  /** Whether the running input handed anything to the transport. */
  sent = false;
  /** An effect that puts a packet on the wire; what waits for a commit, later. */
  send(effect) {
    if (this.config.store === "none" || !restsOnSession(effect)) this.sent = true;
    this.effects.push(effect);
  }
  finish() {
    this.session.open = this.open.finish();
    this.session.received = this.received.finish();
    this.session.subscriptions = this.subscriptions.finish();
    this.incoming.pending = this.pending.finish();
    return {
      config: this.config,
      session: this.session,
      connection: this.connection,
      keepAlive: this.keepAlive,
      reconnect: this.reconnect,
      outgoing: this.outgoing,
      incoming: this.incoming,
      flow: this.flow,
      counters: this.counters
    };
  }
};

// src/protocol/engine.ts
var NONE3 = [];
var NO_RECONNECTIONS = {};
function initialSession(clientId) {
  return {
    clientId,
    protocolVersion: 0,
    open: emptyTable(),
    owed: 0,
    waiting: NONE3,
    waitingAt: 0,
    waitingExpiresAt: Infinity,
    nextMessageId: 1,
    nextOrder: 1,
    cautiousBelow: 0,
    received: emptyTable(),
    nextDeliveryId: 1,
    subscriptions: emptyTable(),
    subscriptionCount: 0,
    adopted: false
  };
}
function initialState(config, session2) {
  return {
    config,
    session: session2,
    connection: {
      kind: "idle",
      reason: null,
      epoch: 0,
      engaged: false,
      opened: false,
      protocolVersion: config.protocolVersion,
      heard: false,
      connectBy: Infinity,
      connackAt: -1,
      retryAt: Infinity,
      closeBy: Infinity,
      verdict: null,
      drainBy: Infinity,
      connack: null,
      limits: DEFAULT_LIMITS,
      birthsPending: false,
      pings: 0,
      pingAnswered: false,
      endsWith: null
    },
    keepAlive: keepAliveStart(0, 0),
    reconnect: {
      policy: config.reconnect,
      attempt: 0,
      everConnected: false,
      version: config.protocolVersion,
      versionMayFall: config.versionMayFall,
      quickCloses: 0
    },
    outgoing: {
      inFlight: 0,
      resend: NONE3,
      resendAt: 0,
      subscribing: 0,
      unconfirmed: 0,
      apart: 0,
      ackCheckAt: Infinity
    },
    incoming: {
      pending: emptyTable(),
      pendingFrom: 1,
      nextSequence: 1,
      epochFrom: 1,
      yieldedThrough: 0,
      inHand: 0,
      warnedFrom: 0,
      unacknowledged: 0,
      aliases: NONE3
    },
    flow: {
      bufferedPackets: 0,
      bufferedBytes: 0,
      paused: false,
      pausedUntil: Infinity,
      perSecond: 0,
      nextTransmissionAt: 0,
      congested: false,
      requestsEnded: false,
      consumerAwaitedSince: -1,
      warned: false,
      pausedMs: 0,
      pausedSince: 0
    },
    counters: {
      taken: 0,
      settled: 0,
      sent: 0,
      received: 0,
      acknowledged: 0,
      reconnections: NO_RECONNECTIONS
    }
  };
}
function step(state, input) {
  const d = new Draft(state);
  if (isList(input)) for (const one of input) handle(d, one);
  else handle(d, input);
  return { state: d.finish(), effects: d.effects };
}
function isList(input) {
  return Array.isArray(input);
}
function handle(d, input) {
  if (isOver(d)) {
    if (input.type === "pulled" || input.type === "requests" && input.hold) route(d, input);
    return;
  }
  route(d, input);
  if (isOver(d)) return;
  endWhenDone(d, input.at);
  if (isOver(d)) return;
  decideReading(d, input.at);
  if (d.sent) keepAliveSent(d.keepAlive, input.at);
  d.sent = false;
}
function isOver(d) {
  return d.connection.kind === "closed" || d.connection.kind === "failed";
}
function route(d, input) {
  const { at } = input;
  switch (input.type) {
    case "start":
      if (d.connection.kind === "idle") dial(d, at, at + d.config.connectTimeoutMs);
      return;
    case "opened":
      return opened2(d);
    case "received":
      return received(d, input.packets, at);
    case "malformed":
      return violation(d, at, input.reasonCode, input.clause, input.message);
    case "written":
      keepAliveWritten(d.keepAlive, at, input.ping, input.more);
      return confirmed(d, input.publishes);
    case "released":
      d.sent = true;
      return;
    case "congestion":
      d.flow.congested = input.congested;
      return;
    case "unwritable":
      d.connection.opened = false;
      return;
    case "lost":
      return lost(d, input);
    case "requests":
      for (const facts of input.requests) take(d, facts, at, input.hold);
      return;
    case "refused":
      d.counters.taken += input.count;
      d.counters.settled += input.count;
      return;
    case "births":
      takeBirths(d, input.requests, at);
      d.connection.birthsPending = false;
      return flush(d, at);
    case "requestsEnded":
      d.flow.requestsEnded = true;
      return;
    case "apart":
      return takenApart(d, input.handle, input.requests, at);
    case "cancel":
      return cancel(d, input.handle, input.cause);
    case "pulled":
      d.flow.bufferedPackets -= input.packets;
      d.flow.bufferedBytes -= input.bytes;
      d.incoming.yieldedThrough = Math.max(d.incoming.yieldedThrough, input.yieldedThrough);
      if (input.handledThrough > 0) handledThrough(d, input.handledThrough);
      return;
    case "ack":
      return acknowledged(d, input.sequence, input.messageId, input.reasonCode);
    case "pause":
      return setPaused(d, at, input.ms === Infinity ? Infinity : at + input.ms);
    case "resume":
      return setPaused(d, at, null);
    case "throttle":
      d.flow.perSecond = input.perSecond;
      d.flow.nextTransmissionAt = at;
      return flush(d, at);
    case "reconnect":
      return reconnect(d, input.policy, at);
    case "ping":
      if (d.connection.kind === "connected") ping(d, at);
      return;
    case "disconnect":
      d.connection.drainBy = Math.min(d.connection.drainBy, at + input.timeoutMs);
      d.connection.endsWith ??= input.failure;
      return;
    case "shutdown":
      d.connection.endsWith ??= input.failure;
      return close(d, at);
    case "tick":
      return tick(d, at);
    default:
      return unreachable(input);
  }
}
function received(d, packets, at) {
  keepAliveReceived(d.keepAlive, at);
  d.connection.heard = true;
  for (const packet of packets) {
    const { kind } = d.connection;
    if (kind === "connected") packetReceived(d, packet, at);
    else if (kind === "connecting") firstReceived(d, packet, at);
    else return;
  }
}
function firstReceived(d, packet, at) {
  if (packet.cmd === "connack") return connackReceived(d, packet, at);
  if (packet.cmd === "auth") return authReceived(d, packet, at);
  const code = packet.cmd === "disconnect" ? ` (${hex(packet.reasonCode)})` : "";
  const message = `${packet.cmd.toUpperCase()}${code} before CONNACK`;
  violation(d, at, 130, "MQTT-3.2.0-1", message);
}
function packetReceived(d, packet, at) {
  switch (packet.cmd) {
    case "publish": {
      const broken = publishReceived(d, packet, at);
      if (broken !== null) violation(d, at, broken.reasonCode, broken.clause, broken.message);
      return;
    }
    case "puback":
    case "pubrec":
    case "pubcomp": {
      const broken = unwantedInformation(d, packet) ?? publishAnswered(d, packet, at);
      if (broken !== null) violation(d, at, 130, broken.clause, broken.message);
      return;
    }
    case "pubrel": {
      const broken = pubrelReceived(d, packet);
      if (broken !== null) violation(d, at, broken.reasonCode, broken.clause, broken.message);
      else handOver2(d, packet);
      return;
    }
    case "suback":
    case "unsuback": {
      const result = unwantedInformation(d, packet) ?? subscriptionAnswered(d, packet, d.connection.protocolVersion, at);
      if (result === null) return;
      if ("clause" in result) return violation(d, at, 130, result.clause, result.message);
      const { facts, stage } = result;
      if (facts.kind === "unsubscribe") {
        unsubscribed(d, facts.unsubscriptions, packet.granted);
      } else if (facts.kind === "subscribe") {
        if (stage === "renewal") renewed(d, facts, packet.granted);
        else subscribed(d, facts, packet.granted);
      }
      return;
    }
    case "pingresp":
      handOver2(d, packet);
      if (d.connection.pings === 0) return;
      d.connection.pings--;
      d.connection.pingAnswered = true;
      d.effects.push({ type: "pong" });
      return flush(d, at);
    case "disconnect": {
      handOver2(d, packet);
      const said = disconnectFailure(packet);
      return drop2(d, at, said, "retry", SUSPICIOUS.has(packet.reasonCode));
    }
    case "auth":
      return authReceived(d, packet, at);
    case "connack":
      return violation(d, at, 130, "MQTT-3.2.0-2", "A second CONNACK");
    default:
      return unreachable(packet);
  }
}
function unwantedInformation(d, packet) {
  if (d.config.requestProblemInformation || !("properties" in packet)) return null;
  const { properties } = packet;
  if (properties?.["reasonString"] === void 0 && properties?.["userProperties"] === void 0) {
    return null;
  }
  const message = `${packet.cmd.toUpperCase()} with a reason although Request Problem Information is 0`;
  return { clause: "MQTT-3.1.2-29", message };
}
function authReceived(d, packet, at) {
  const method = d.config.authenticationMethod;
  const expected = method !== null && d.connection.kind === "connecting" && packet.reasonCode === 24 && packet.properties?.["authenticationMethod"] === method;
  if (!expected) return violation(d, at, 130, "MQTT-4.12.0-6", "An AUTH that was not asked for");
  const message = `The server goes on with authentication method "${method}", for which there is no authenticator.`;
  if (d.connection.protocolVersion === 5) {
    d.send({ type: "disconnect", reasonCode: 140, properties: void 0 });
  }
  const said = failure("handshake", "usage", "NO_AUTHENTICATOR", false, message);
  drop2(d, at, said, "fail", false);
}
function tick(d, at) {
  const { connection, flow, session: session2 } = d;
  if (at >= connection.closeBy) {
    connection.closeBy = Infinity;
    d.effects.push({ type: "destroy" });
  }
  if (connection.kind === "disconnected" && !connection.engaged && at >= connection.retryAt) {
    return dial(d, at, at + d.config.connectTimeoutMs);
  }
  if (connection.kind === "connecting" && at >= connection.connectBy) {
    const phase = connection.opened ? "handshake" : "dial";
    const message = `No CONNACK within ${d.config.connectTimeoutMs} ms (connectTimeout).`;
    drop2(d, at, failure(phase, "connection", "CONNECT_TIMEOUT", true, message), "retry", false);
    d.effects.push({ type: "destroy" });
    return;
  }
  if (at >= flow.pausedUntil) setPaused(d, at, null);
  if (at >= session2.waitingExpiresAt) expire(d, at);
  if (connection.kind !== "connected") return;
  flush(d, at);
  tickAcknowledgements(d, at);
  tickWarnings(d, at);
  if (connection.kind === "connected") tickKeepAlive(d, at);
}
function tickKeepAlive(d, at) {
  const { keepAlive } = d;
  if (at >= deadAt(keepAlive)) {
    const message = `Nothing was heard within one and a half times the keep alive (${keepAlive.intervalMs / 1e3} s).`;
    drop2(
      d,
      at,
      failure("connected", "connection", "KEEP_ALIVE_TIMEOUT", true, message),
      "retry",
      false
    );
    d.effects.push({ type: "destroy" });
  } else if (at >= pingDueAt(keepAlive)) {
    ping(d, at);
  }
}
function tickAcknowledgements(d, at) {
  const { ackTimeout: ackTimeout2 } = d.config;
  const now = activeAt(d.flow, at);
  if (ackTimeout2 === null || d.flow.paused || now < d.outgoing.ackCheckAt) return;
  const oldest = oldestSentAt(d.open.finish(), d.connection.epoch);
  const overdue = oldest + ackTimeout2.afterMs <= now;
  if (overdue && ackTimeout2.then === "reconnect") {
    const message = `The server did not acknowledge within ${ackTimeout2.afterMs} ms (ackTimeout).`;
    const reason = failure("connected", "connection", "ACK_TIMEOUT", true, message);
    return drop2(d, at, reason, "retry", false);
  }
  if (overdue) timeOut(d, now - ackTimeout2.afterMs);
  const next = overdue ? oldestSentAt(d.open.finish(), d.connection.epoch) : oldest;
  d.outgoing.ackCheckAt = next + ackTimeout2.afterMs;
}
function tickWarnings(d, at) {
  const { flow, config, incoming } = d;
  const stalledAt = flow.consumerAwaitedSince;
  if (!flow.warned && stalledAt >= 0 && at >= stalledAt + config.warnAfterMs) {
    flow.warned = true;
    const message = `${flow.bufferedPackets} packets wait for next() since ${config.warnAfterMs} ms, and no more are read. A loop body that awaits the outcome of its own request waits for ever.`;
    d.effects.push({ type: "warn", code: "CONSUMER_STALLED", message });
  }
  if (at >= forgottenAt(config, incoming, headOf(d))) {
    incoming.warnedFrom = incoming.pendingFrom;
    const message = `A message was received ${config.warnAfterMs} ms ago and is not acknowledged; those behind it cannot be either. Call ack(packet).`;
    d.effects.push({ type: "warn", code: "ACKNOWLEDGEMENT_FORGOTTEN", message });
  }
}

// src/ledger.ts
var NO_HANDLE = 0;
var JOINED = /* @__PURE__ */ Symbol("joined");
var NEVER2 = { now: () => 0 };
var NO_SLOTS2 = [];
var NONE4 = /* @__PURE__ */ new Map();
var OK = Object.freeze({ ok: true });
var Ledger = class {
  #held = new Held();
  #causes;
  #onSettled;
  #listener;
  #observer = null;
  /** Keys of requests without an outcome, and of those whose source has not confirmed it. */
  #keys = null;
  #settling = null;
  #settlingShared = false;
  /** QoS 0 publishes that the kernel has not taken, oldest first, from `#unconfirmedAt` on. */
  #unconfirmed = NO_SLOTS2;
  #unconfirmedAt = 0;
  /** What may become a group: its first message, or the group from the second on. */
  #first = null;
  #group = null;
  /** One for all groups: it has learnt how large they are. */
  #encoder = null;
  #due = null;
  /** There are keys of an earlier life, which a source may repeat. */
  #restored = false;
  /** Outcomes that are being told, and how many of them were. */
  #telling = [];
  #told = 0;
  constructor(causes, onSettled, listener) {
    this.#causes = causes;
    this.#onSettled = onSettled;
    this.#listener = listener;
  }
  /**
   * Takes what a source gave: facts for the reducers, a control for the loop, JOINED where it waits for `closeGroup`, or null
   * where there is nothing to do.
   */
  accept(item, settling, version, clock, grouping) {
    if (typeof item === "string" || item instanceof Uint8Array) {
      const given = typeof item === "string" ? "text" : "bytes";
      throw new UsageError(
        `requests: the stream gives ${given}; requests or arrays of requests are expected`
      );
    }
    let prepared;
    try {
      prepared = prepare(item, version);
    } catch (error) {
      this.#refuse(item, settling, error);
      return null;
    }
    if (prepared.kind === "control") return prepared.control;
    if (grouping && prepared.kind === "publish" && Group.mayJoin(prepared)) {
      return this.#join(prepared, settling, version);
    }
    const { request: request2 } = prepared;
    const { key } = request2;
    if (key !== void 0 && this.#mayRepeat(settling) && this.#isKnown(key, request2, settling)) {
      return null;
    }
    if (request2.signal?.aborted) {
      this.#refuse(request2, settling, request2.signal.reason);
      return null;
    }
    return this.#enter(prepared, settling, clock);
  }
  #join(prepared, settling, version) {
    if (this.#group !== null) this.#group.add(prepared);
    else if (this.#first === null) {
      prepared.settling = settling;
      this.#first = prepared;
    } else {
      if (this.#encoder?.version !== version) this.#encoder = new Encoder(version);
      this.#group = new Group(settling, this.#encoder);
      this.#group.add(this.#first);
      this.#group.add(prepared);
    }
    return JOINED;
  }
  /** What has joined since the last call: one message, or a group; null: nothing has. */
  closeGroup() {
    const first = this.#first;
    const group = this.#group;
    this.#first = null;
    this.#group = null;
    if (group !== null) {
      group.close();
      const { bytes, retain, requests } = group;
      const handle2 = this.#held.put(group);
      const count2 = requests.length;
      return { kind: "publish", handle: handle2, qos: 0, retain, bytes, expiresAt: 0, count: count2 };
    }
    return first === null ? null : factsOf(first, this.#held.put(first), NEVER2);
  }
  /** The messages of a group one by one. */
  takeApart(handle2, version) {
    const group = this.#held.remove(handle2);
    return group.requests.map(
      (request2) => this.#enter(prepare(request2, version), group.settling, NEVER2)
    );
  }
  #enter(prepared, settling, clock) {
    const { key, signal } = prepared.request;
    const handle2 = this.#held.put(prepared);
    prepared.settling = settling;
    if (signal !== void 0) prepared.unlisten = this.#listen(signal, handle2);
    if (key !== void 0 && !settling?.replays) this.#holdKey(key, handle2);
    return factsOf(prepared, handle2, clock);
  }
  /** A stream that replays gives no key twice, but for those of an earlier life. */
  #mayRepeat(settling) {
    return this.#restored || settling?.replays !== true;
  }
  #holdKey(key, handle2) {
    this.#keys ??= /* @__PURE__ */ new Map();
    this.#keys.set(key, handle2);
  }
  #listen(signal, handle2) {
    const abort = () => this.#listener.cancelled(handle2, signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    return () => signal.removeEventListener("abort", abort);
  }
  /** D7: a request whose key is known is not sent again; its source hears the outcome once it is there, or again. */
  #isKnown(key, request2, settling) {
    const handle2 = this.#keys?.get(key);
    if (handle2 !== void 0) {
      const slot = this.get(handle2);
      if (slot !== void 0) slot.settling = settling;
      return true;
    }
    const outcome = this.#settling?.get(key);
    if (outcome === void 0) return false;
    this.#owe({ request: request2, settling, outcome });
    return true;
  }
  /**
   * What of a batch is new, where an earlier life left keys. D7 is judged as a batch comes: until its rest is taken, the outcome of
   * what it repeats may have been told and forgotten.
   */
  sift(batch, settling) {
    if (!this.#restored) return batch;
    return batch.filter((item) => {
      const { key } = item ?? {};
      return key === void 0 || !this.#isKnown(key, item, settling);
    });
  }
  #refuse(request2, settling, error) {
    this.#listener.refused();
    this.#owe({ request: request2, settling, outcome: { ok: false, error } });
  }
  /** What a request was made into; only what leaves at QoS 0 may be a group. */
  get(handle2) {
    return this.#held.get(handle2);
  }
  /** QoS 0: it was handed over and has no handle any more, only its turn. */
  handOver(handle2) {
    const slot = this.#held.remove(handle2);
    if (slot === void 0) return void 0;
    if (slot.kind !== "group") {
      slot.unlisten?.();
      slot.unlisten = null;
      const { key } = slot.request;
      if (key !== void 0 && !slot.settling?.replays) this.#holdKey(key, NO_HANDLE);
    }
    if (this.#unconfirmed === NO_SLOTS2) this.#unconfirmed = [];
    this.#unconfirmed.push(slot);
    return slot;
  }
  /** The oldest that were handed over; a group is confirmed whole, because it is written whole. */
  confirm(count2, failure2) {
    let left = count2;
    while (left > 0) {
      const slot = this.#unconfirmed[this.#unconfirmedAt++];
      left -= slot.kind === "group" ? slot.requests.length : 1;
      this.#confirmOne(slot, failure2);
    }
    if (this.#unconfirmedAt < this.#unconfirmed.length) return;
    this.#unconfirmed = NO_SLOTS2;
    this.#unconfirmedAt = 0;
  }
  #confirmOne(slot, failure2) {
    const { settling } = slot;
    if (slot.kind !== "group") {
      return this.#settle(slot, failure2 === null ? OK : this.#failed(failure2, void 0));
    }
    if (failure2 === null && !this.#isHeardBy(settling)) return;
    for (const request2 of slot.requests) {
      const outcome = failure2 === null ? OK : this.#failed(failure2, void 0);
      this.#owe({ request: request2, settling, outcome });
    }
  }
  settle(effect) {
    const { handle: handle2, failure: failure2 } = effect;
    const slot = effect.release ? this.#held.remove(handle2) : this.#held.get(handle2);
    if (slot === void 0 || !effect.outcome) return;
    if (failure2 === null && !this.#isHeardBy(slot.settling)) return this.#release(slot);
    const packet = effect.packet;
    if (failure2 !== null) this.#settle(slot, this.#failed(failure2, packet ?? void 0));
    else this.#settle(slot, packet === null ? OK : { ok: true, packet });
  }
  /** Outcomes that wait for a commit: it remembers them by key, should the process end before they are told. (D7) */
  foresee(effects) {
    for (const effect of effects) {
      if (effect.type !== "settle" || !effect.outcome) continue;
      const slot = this.get(effect.handle);
      const key = slot?.settling ? slot.request.key : void 0;
      if (key === void 0) continue;
      this.#changeSettling(key, effect.failure === null ? OK : failedEarlier());
    }
  }
  #failed(failure2, packet) {
    const error = this.#causes.errorOf(failure2);
    return packet === void 0 ? { ok: false, error } : { ok: false, error, packet };
  }
  #settle(slot, outcome) {
    const { request: request2, settling } = slot;
    this.#release(slot);
    if (!outcome.ok || this.#isHeardBy(settling)) this.#owe({ request: request2, settling, outcome });
  }
  /** Nothing waits for this request any more. */
  #release({ request: request2, unlisten }) {
    if (unlisten !== null) unlisten();
    if (request2.key !== void 0) this.#keys?.delete(request2.key);
  }
  /** Whether somebody hears of a good outcome; of a bad one, the loop at least. */
  #isHeardBy(settling) {
    return settling !== null || this.#onSettled !== void 0 || this.#observer !== null;
  }
  #owe(due) {
    if (this.#due === null) this.#due = [due];
    else this.#due.push(due);
  }
  /** Gives the outcomes that are due. Whatever a callback throws, the others are still given. */
  tell() {
    while (this.#due !== null) {
      this.#telling = this.#due;
      this.#due = null;
      for (this.#told = 0; this.#told < this.#telling.length; ) {
        this.#tellOne(this.#telling[this.#told++]);
      }
      this.#telling = [];
    }
  }
  #tellOne({ request: request2, settling, outcome }) {
    if (settling !== null) {
      try {
        const done = settling.settled(request2, outcome);
        if (done === void 0) this.#confirmed(request2?.key);
        else {
          if (request2.key !== void 0) this.#changeSettling(request2.key, outcome);
          Promise.resolve(done).then(
            () => this.#confirmed(request2?.key),
            (error) => this.#listener.fatal(error)
          );
        }
      } catch (error) {
        this.#listener.fatal(error);
      }
    }
    this.#observer?.(request2, outcome);
    try {
      this.#onSettled?.(request2, outcome);
    } catch (error) {
      this.#listener.fatal(error);
    }
    const unheard = !this.#isHeardBy(settling);
    if (unheard && !outcome.ok && outcome.packet === void 0 && !isExpected(request2, outcome)) {
      this.#listener.fatal(outcome.error);
    }
  }
  #confirmed(key) {
    if (key !== void 0 && this.#settling?.has(key)) this.#changeSettling(key, null);
  }
  #changeSettling(key, outcome) {
    if (this.#settling === null || this.#settlingShared) this.#settling = new Map(this.#settling);
    this.#settlingShared = false;
    if (outcome === null) this.#settling.delete(key);
    else this.#settling.set(key, outcome);
  }
  /** The session as it is now. O(1): what it shows is read when it is asked for. */
  session(state, final, wallOffsetMs) {
    const slots = this.#held.share();
    return sessionOf({ state, slots, settling: this.#unconfirmedKeys(), wallOffsetMs }, final);
  }
  /** Outcomes that their sources have not confirmed: those that are about to be told too. */
  #unconfirmedKeys() {
    const untold = [...this.#telling.slice(this.#told), ...this.#due ?? []];
    for (const { request: request2, settling, outcome } of untold) {
      if (settling === null || request2?.key === void 0) continue;
      this.#changeSettling(request2.key, outcome);
    }
    this.#settlingShared = true;
    return this.#settling ?? NONE4;
  }
  /** Takes a session over: its requests get handles here, and the reducers a state that speaks of these. */
  restore(record, source, at, wallOffsetMs) {
    this.#restored = true;
    const open = new TableEditor(initialSession("").open);
    const waiting = [];
    let waitingExpiresAt = Number.POSITIVE_INFINITY;
    let owed = 0;
    for (const held of record.held) {
      const facts = this.#restoreOne(held, record, source, at, wallOffsetMs);
      const { order, strikes, stage, settled } = held;
      if (stage === "waiting") {
        waiting.push({ facts, order, strikes });
        if (facts.kind === "publish" && facts.expiresAt > 0) {
          waitingExpiresAt = Math.min(waitingExpiresAt, facts.expiresAt);
        }
        continue;
      }
      if (!settled) owed++;
      open.set(held.messageId, {
        facts,
        stage,
        order,
        epoch: 0,
        touchedEpoch: 0,
        sentAt: 0,
        strikes,
        settled
      });
    }
    const received2 = new TableEditor(initialSession("").received);
    for (const { messageId, deliveryId, stage, again } of record.received) {
      received2.set(messageId, { deliveryId, sequence: 0, pendingSequence: 0, stage, again });
    }
    for (const [key, ok] of record.settling) {
      this.#changeSettling(key, ok ? OK : failedEarlier());
    }
    const { clientId, protocolVersion, nextMessageId: nextMessageId2, nextOrder, nextDeliveryId } = record;
    return {
      ...initialSession(clientId),
      protocolVersion,
      open: open.finish(),
      owed,
      waiting,
      waitingExpiresAt,
      nextMessageId: nextMessageId2,
      nextOrder,
      cautiousBelow: record.cautiousBelow,
      received: received2.finish(),
      nextDeliveryId,
      subscriptions: restoreSubscriptions(record.subscriptions),
      subscriptionCount: record.subscriptions.length,
      adopted: record.adopted
    };
  }
  #restoreOne({ request: request2, expiresAt, settled }, { protocolVersion }, source, at, wallOffsetMs) {
    const prepared = prepare(request2, protocolVersion === 0 ? 5 : protocolVersion);
    const owner = request2.key === void 0 ? null : source?.settling ?? null;
    const facts = this.#enter(prepared, owner, { now: () => at });
    if (request2.key !== void 0) {
      if (settled) this.#keys?.delete(request2.key);
      else this.#holdKey(request2.key, facts.handle);
    }
    if (facts.kind !== "publish" || expiresAt === 0) return facts;
    return { ...facts, expiresAt: Math.max(1, expiresAt - wallOffsetMs) };
  }
  /** A stream came after its session: what is held by key is told to it. */
  rebind(source) {
    if (source === null || source.settling === null) return;
    for (const handle2 of this.#keys?.values() ?? []) {
      const slot = this.get(handle2);
      if (slot !== void 0) slot.settling ??= source.settling;
    }
  }
  /** One more who hears every outcome, before the user does. */
  observe(observer) {
    this.#observer = observer;
  }
  /** The answer to a `ping` among the controls. */
  tellControl(control, error, roundTripMs) {
    try {
      this.#onSettled?.(control, error === null ? { ok: true, roundTripMs } : { ok: false, error });
    } catch (thrown) {
      this.#listener.fatal(thrown);
    }
  }
  /** The loop is over: nobody is listened to any more. What is held stays, for the session. */
  close() {
    for (const slot of this.#held.share()) slot?.unlisten?.();
  }
};
function failedEarlier() {
  const message = "the request failed in an earlier life of its session";
  return { ok: false, error: new UsageError(message, { code: "FAILED_EARLIER" }) };
}
function factsOf(prepared, handle2, clock) {
  const { bytes } = prepared;
  switch (prepared.kind) {
    case "publish": {
      const { qos, retain, expiryGiven } = prepared;
      const expiresAt = expiryGiven ? clock.now() + prepared.expirySeconds * 1e3 : 0;
      return { kind: "publish", handle: handle2, qos, retain, bytes, expiresAt, count: 1 };
    }
    case "subscribe": {
      const { subscriptions, properties } = prepared;
      return { kind: "subscribe", handle: handle2, bytes, subscriptions, properties };
    }
    case "unsubscribe":
      return { kind: "unsubscribe", handle: handle2, bytes, unsubscriptions: prepared.unsubscriptions };
  }
}
function isExpected(request2, outcome) {
  const signal = request2?.signal;
  if (signal?.aborted && outcome.error === signal.reason) return true;
  return request2?.cmd === "publish" && (request2.qos ?? 0) === 0 && outcome.error instanceof ConnectionError;
}
function isControl(taken) {
  return "cmd" in taken;
}

// src/sources/source.ts
var released = /* @__PURE__ */ new WeakMap();
var Source = class _Source {
  stream;
  settling;
  #iterator = null;
  #listener = null;
  #batch = null;
  #batchAt = 0;
  /** A `next()` of an asynchronous iterator is under way. */
  #asking = false;
  #ended = false;
  #error = null;
  // Bound once: a stream is asked a million times.
  #answered = (step2) => this.#arrived(step2);
  #failed = (thrown) => this.#threw(thrown);
  constructor(stream2) {
    this.stream = stream2;
    const { settled } = stream2;
    this.settling = typeof settled === "function" ? stream2 : null;
  }
  /**
   * The source of this object: a new one, or the one that an earlier loop released. One that had come to its end goes on only
   * in a loop that has a session, where its requests are held; for any other loop the stream begins anew.
   */
  static of(stream2, hasSession2 = false) {
    judge(stream2);
    const kept = released.get(stream2);
    released.delete(stream2);
    return kept === void 0 || kept.ended && !hasSession2 ? new _Source(stream2) : kept;
  }
  attach(listener) {
    this.#listener = listener;
  }
  /** Nothing more will come; what was thrown, if anything, is in `error`. */
  get ended() {
    return this.#ended && this.#batch === null;
  }
  get error() {
    return this.#error;
  }
  /** The next item, or NOTHING: there is none now, and `ready` will tell. Items are judged by whoever takes them. */
  take() {
    for (; ; ) {
      const batch = this.#batch;
      if (batch !== null) {
        if (this.#batchAt < batch.length) return batch[this.#batchAt++];
        this.#batch = null;
      }
      if (this.#ended || this.#asking) return NOTHING4;
      const item = this.#ask();
      if (item !== AGAIN) return item;
    }
  }
  #ask() {
    let step2;
    try {
      this.#iterator ??= iteratorOf(this.stream);
      step2 = this.#iterator.next();
    } catch (thrown) {
      this.#ended = true;
      this.#error = { thrown };
      return NOTHING4;
    }
    if (typeof step2.then === "function") {
      this.#asking = true;
      step2.then(this.#answered, this.#failed);
      return NOTHING4;
    }
    return this.#accept(step2);
  }
  /** A single item, or AGAIN where there is none or it became the batch. */
  #accept(step2) {
    if (step2.done) {
      this.#ended = true;
      return AGAIN;
    }
    if (!Array.isArray(step2.value)) return step2.value;
    this.#keep(step2.value);
    return AGAIN;
  }
  #arrived(step2) {
    this.#asking = false;
    const item = this.#accept(step2);
    if (item !== AGAIN) this.#keep([item]);
    this.#listener?.ready();
  }
  #keep(batch) {
    this.#batch = this.#listener?.came(batch) ?? batch;
    this.#batchAt = 0;
  }
  #threw(thrown) {
    this.#asking = false;
    this.#ended = true;
    this.#error = { thrown };
    this.#listener?.ready();
  }
  /** The loop ended and may be followed by another: everything stays as it is. */
  release(finished2) {
    this.#listener = null;
    if (this.#iterator === null || finished2 && this.ended) return;
    if (this.stream.replays === true) {
      this.close();
      return;
    }
    this.#error = null;
    released.set(this.stream, this);
  }
  /** The consumer left: closes the stream, and gives back what it handed out and nobody took. Never waits. */
  close() {
    this.#listener = null;
    const rest2 = this.#batch?.slice(this.#batchAt) ?? [];
    this.#batch = null;
    if (this.#ended || this.#iterator === null) return rest2;
    this.#ended = true;
    try {
      const closing = this.#iterator.return?.();
      if (typeof closing?.then === "function") closing.then(void 0, () => {
      });
    } catch {
    }
    return rest2;
  }
};
var NOTHING4 = /* @__PURE__ */ Symbol("nothing");
var AGAIN = /* @__PURE__ */ Symbol("again");
function iteratorOf(stream2) {
  const { [Symbol.asyncIterator]: asynchronous, [Symbol.iterator]: synchronous } = stream2;
  return asynchronous ? asynchronous.call(stream2) : synchronous.call(stream2);
}
function judge(stream2) {
  const expected = "requests: an iterable of requests or of arrays of requests is expected";
  if (typeof stream2 === "string") throw new UsageError(`${expected}, a string was given`);
  if (typeof stream2 !== "object" || stream2 === null) {
    throw new UsageError(`${expected}, ${describe(stream2)} was given`);
  }
  if (ArrayBuffer.isView(stream2) || stream2 instanceof ArrayBuffer) {
    throw new UsageError(`${expected}, bytes were given`);
  }
  if (stream2.readableObjectMode === false) {
    throw new UsageError(
      `${expected}, a stream of bytes was given; parse it into requests first (for lines: node:readline)`
    );
  }
  if (!(Symbol.asyncIterator in stream2) && !(Symbol.iterator in stream2)) {
    throw new UsageError(`${expected}, ${describe(stream2)} was given`);
  }
}

// src/intake.ts
var REQUESTS_PER_TURN = 2048;
var BYTES_PER_COUNT_LOG2 = 12;
var Intake = class {
  #ledger;
  #listener;
  #requests = null;
  #controls = null;
  #facts = null;
  /** Requests that stand in facts or wait for their group to be closed. */
  #pending = 0;
  /** How many QoS > 0 publishes may still be taken before the next step; with `#counting`, how many requests of any kind. */
  #allowance = 0;
  #counting = false;
  #taken = 0;
  #resting = false;
  #told = false;
  constructor(ledger, listener) {
    this.#ledger = ledger;
    this.#listener = listener;
  }
  get requests() {
    return this.#requests;
  }
  /** Requests taken that the reducers have not heard of. */
  get pending() {
    return this.#pending;
  }
  attach(requests, controls) {
    this.#requests = requests;
    this.#controls = controls;
    requests?.attach({
      came: (batch) => this.#ledger.sift(batch, requests.settling),
      ready: () => {
        this.gather();
        this.#listener.gathered();
      }
    });
    controls?.attach({
      came: (batch) => batch,
      ready: () => {
        this.takeControls();
        this.#listener.gathered();
      }
    });
  }
  /** What the reducers allow after a step. */
  allow(publishes, counting) {
    this.#allowance = publishes;
    this.#counting = counting;
  }
  gather() {
    const source = this.#requests;
    if (source === null) return this.#tellEnd(null);
    if (this.#resting) return;
    while (this.#allowance > 0) {
      if (this.#taken >= REQUESTS_PER_TURN) return this.#rest();
      const item = source.take();
      if (item === NOTHING4) break;
      this.#taken++;
      if (this.#accept(item, false)) this.#allowance--;
    }
    if (this.#allowance > 0 && source.ended) this.#tellEnd(source.error);
  }
  #tellEnd(thrown) {
    if (this.#told) return;
    this.#told = true;
    this.#allowance = 0;
    this.#listener.ended(thrown);
  }
  /** The stream gives without end: bytes and timers get their turn before it goes on. */
  #rest() {
    this.#resting = true;
    setImmediate(() => {
      this.#resting = false;
      this.#taken = 0;
      this.gather();
      this.#listener.gathered();
    });
  }
  /** True: it counts against the window. */
  #accept(item, closing) {
    let taken;
    try {
      const listener = this.#listener;
      const settling = this.#requests?.settling ?? null;
      const grouping = !this.#counting && !closing;
      taken = this.#ledger.accept(item, settling, listener.version(), listener, grouping);
    } catch (error) {
      this.#allowance = 0;
      this.#listener.fail(error);
      return false;
    }
    if (taken === null) return false;
    if (taken === JOINED) {
      this.#pending++;
      return false;
    }
    if (isControl(taken)) {
      this.#allowance = 0;
      if (!closing) this.#listener.control(taken);
      return false;
    }
    this.#closeGroup();
    this.#add(taken);
    this.#pending++;
    this.#taken += taken.bytes >>> BYTES_PER_COUNT_LOG2;
    return this.#counting || taken.kind === "publish" && taken.qos > 0;
  }
  #closeGroup() {
    const group = this.#ledger.closeGroup();
    if (group !== null) this.#add(group);
  }
  #add(facts) {
    if (this.#facts === null) this.#facts = [facts];
    else this.#facts.push(facts);
  }
  /** Null: there are none. */
  drainFacts() {
    this.#closeGroup();
    const facts = this.#facts;
    this.#facts = null;
    this.#pending = 0;
    return facts;
  }
  takeControls() {
    const controls = this.#controls;
    if (controls === null) return;
    for (; ; ) {
      const item = controls.take();
      if (item === NOTHING4) break;
      try {
        this.#listener.control(prepareControl(item).control);
      } catch (error) {
        return this.#listener.fail(error);
      }
    }
    if (!controls.ended) return;
    this.#controls = null;
    if (controls.error !== null) this.#listener.fail(controls.error.thrown);
  }
  /** The consumer left: closes the streams; what they handed out and nobody took is taken now, to be held. */
  close() {
    this.#controls?.close();
    for (const item of this.#requests?.close() ?? []) this.#accept(item, true);
  }
  /** The loop ended and may be followed by another: the streams stay as they are. */
  release(finished2) {
    this.#requests?.release(finished2);
    this.#controls?.release(finished2);
  }
};

// src/codec/memory.ts
var SLAB_BYTES = 8192;
var SHARED_BYTES_MAX = 4096;
var View = Buffer[Symbol.species];
var EMPTY2 = Buffer.allocUnsafeSlow(0);
var slab = EMPTY2;
var slabUsed = SLAB_BYTES;
function claim(least, most) {
  if (SLAB_BYTES - slabUsed < least) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    slabUsed = 0;
  }
  const length = Math.min(most, SLAB_BYTES - slabUsed);
  const offset = slabUsed;
  slabUsed += length;
  return { slab, offset, length };
}
function copyOf(bytes, start, end) {
  const length = end - start;
  if (length === 0) return EMPTY2;
  if (length > SHARED_BYTES_MAX) {
    const own = Buffer.allocUnsafeSlow(length);
    bytes.copy(own, 0, start, end);
    return own;
  }
  const { slab: slab2, offset } = claim(length, length);
  bytes.copy(slab2, offset, start, end);
  return new View(slab2.buffer, offset, length);
}

// src/codec/refuse.ts
var MALFORMED = 129;
var PROTOCOL_ERROR = 130;
var TOPIC_ALIAS_INVALID = 148;
var PACKET_TOO_LARGE = 149;
function refuse(reasonCode, clause, message) {
  throw new ProtocolError(message, { reasonCode, clause });
}
function cutOff(what) {
  return refuse(MALFORMED, "2.1.4", `the packet ends inside ${what}`);
}
var CLAUSE_311 = /* @__PURE__ */ new Map([
  ["MQTT-1.5.4-1", "MQTT-1.5.3-1"],
  ["MQTT-1.5.4-2", "MQTT-1.5.3-2"],
  ["MQTT-2.1.3-1", "MQTT-2.2.2-2"],
  ["2.1.2", "2.2.1"],
  ["2.1.4", "2.2.3"],
  ["MQTT-1.5.5-1", "2.2.3"],
  ["MQTT-2.2.1-4", "MQTT-2.3.1-1"],
  ["MQTT-3.1.2-24", "2.2.3"],
  ["MQTT-3.2.2-1", "3.2.2.1"],
  ["MQTT-3.2.2-8", "3.2.2.3"],
  ["MQTT-3.8.4-6", "MQTT-3.8.4-5"],
  ["3.3.2.1", "MQTT-4.7.3-1"]
]);
function clauseFor(protocolVersion, clause) {
  return protocolVersion === 5 ? clause : CLAUSE_311.get(clause) ?? clause;
}

// src/codec/text.ts
import { isUtf8 } from "node:buffer";
function textOf(bytes, start, end, what) {
  let ascii = true;
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    if (byte === 0) refuse(MALFORMED, "MQTT-1.5.4-2", `${what} holds U+0000`);
    if (byte >= 128) ascii = false;
  }
  if (ascii) return bytes.toString("latin1", start, end);
  if (!isUtf8(bytes.subarray(start, end))) {
    refuse(MALFORMED, "MQTT-1.5.4-1", `${what} is ill-formed UTF-8`);
  }
  return bytes.toString("utf8", start, end);
}
var CACHE_ENTRIES = 1024;
var CACHED_TOPIC_BYTES_MAX = 256;
var cache = [];
function topicOf(bytes, start, end) {
  const length = end - start;
  if (length > CACHED_TOPIC_BYTES_MAX) return judgedTopic(bytes, start, end);
  let hash2 = 2166136261;
  for (let i = start; i < end; i++) hash2 = Math.imul(hash2 ^ bytes[i], 16777619);
  const slot = (hash2 ^ hash2 >>> 15) & CACHE_ENTRIES - 1;
  const cached = cache[slot];
  if (cached !== void 0) {
    const known = cached.bytes;
    if (known.length === length) {
      let i = 0;
      while (i < length && known[i] === bytes[start + i]) i++;
      if (i === length) return cached.topic;
    }
  } else if (cache.length === 0) {
    cache = new Array(CACHE_ENTRIES).fill(void 0);
  }
  const topic = judgedTopic(bytes, start, end);
  const own = Buffer.allocUnsafeSlow(length);
  bytes.copy(own, 0, start, end);
  cache[slot] = { bytes: own, topic };
  return topic;
}
function judgedTopic(bytes, start, end) {
  const topic = textOf(bytes, start, end, "the Topic Name");
  if (hasWildcard(topic)) {
    refuse(PROTOCOL_ERROR, "MQTT-3.3.2-2", "the Topic Name of a PUBLISH holds a wildcard");
  }
  return topic;
}

// src/codec/reader.ts
var Reader2 = class {
  bytes;
  at;
  end;
  constructor(bytes, at, end) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }
  byte(what) {
    if (this.at >= this.end) cutOff(what);
    return this.bytes[this.at++];
  }
  uint16(what) {
    const { bytes, at } = this;
    if (at + 2 > this.end) cutOff(what);
    this.at = at + 2;
    return bytes[at] << 8 | bytes[at + 1];
  }
  uint32(what) {
    return this.uint16(what) * 65536 + this.uint16(what);
  }
  /** [MQTT-1.5.5-1] at most four bytes, and no more than needed. */
  varint(what) {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte(what);
      value |= (byte & 127) << shift;
      if (byte < 128) {
        if (byte === 0 && shift > 0) {
          refuse(MALFORMED, "MQTT-1.5.5-1", `${what} is written with more bytes than it needs`);
        }
        return value;
      }
    }
    return refuse(MALFORMED, "1.5.5", `${what} is longer than four bytes`);
  }
  string(what) {
    const start = this.extent(what);
    return textOf(this.bytes, start, this.at, what);
  }
  binary(what) {
    const start = this.extent(what);
    return copyOf(this.bytes, start, this.at);
  }
  /** Steps over a two-byte length and as many bytes; returns where these begin. */
  extent(what) {
    const length = this.uint16(what);
    const start = this.at;
    if (start + length > this.end) cutOff(what);
    this.at = start + length;
    return start;
  }
  /** The property block at `at`, or undefined where it is empty. */
  properties(place) {
    const length = this.varint("the Property Length");
    if (length === 0) return void 0;
    const packetEnd = this.end;
    const end = this.at + length;
    if (end > packetEnd) cutOff("the properties");
    const found = {};
    let seen2 = 0;
    this.end = end;
    while (this.at < end) {
      const id = this.varint("a property identifier");
      const rule = PROPERTY_RULES[id];
      if (rule === void 0) {
        refuse(MALFORMED, "2.2.2.2", `there is no property 0x${id.toString(16)}`);
      }
      if ((rule.places & IN[place]) === 0) {
        refuse(MALFORMED, "2.2.2.2", `${rule.name} may not stand in this packet (${place})`);
      }
      if (rule.type === "pair") {
        found[rule.name] = this.userProperty(found[rule.name]);
        continue;
      }
      const again = (seen2 & rule.bit) !== 0;
      seen2 |= rule.bit;
      if (again && !(place === "publish" && rule.name === "subscriptionIdentifier")) {
        refuse(PROTOCOL_ERROR, rule.clause, `${rule.name} stands more than once`);
      }
      const value = this.value(rule);
      const before = found[rule.name];
      if (!again) found[rule.name] = value;
      else if (Array.isArray(before)) before.push(value);
      else found[rule.name] = [before, value];
    }
    this.end = packetEnd;
    return found;
  }
  value(rule) {
    const { name, type } = rule;
    switch (type) {
      case "string":
        return this.string(name);
      case "binary":
        return this.binary(name);
      case "topic": {
        const topic = this.string(name);
        if (topic === "") refuse(PROTOCOL_ERROR, "MQTT-4.7.3-1", `${name} is empty`);
        if (hasWildcard(topic)) refuse(PROTOCOL_ERROR, rule.clause, `${name} holds a wildcard`);
        return topic;
      }
      default: {
        const value = type === "uint16" ? this.uint16(name) : type === "uint32" ? this.uint32(name) : type === "varint" ? this.varint(name) : this.byte(name);
        if (value < rule.min || value > rule.max) {
          const code = name === "topicAlias" ? TOPIC_ALIAS_INVALID : PROTOCOL_ERROR;
          refuse(code, rule.clause, `${name} is ${value}; ${rule.min} to ${rule.max} are allowed`);
        }
        return type === "flag" ? value === 1 : value;
      }
    }
  }
  /** Without a prototype: a name such as __proto__ is a name like any other. */
  userProperty(before) {
    const found = before ?? /* @__PURE__ */ Object.create(null);
    const name = this.string("the name of a user property");
    const value = this.string("the value of a user property");
    const known = found[name];
    if (known === void 0) found[name] = value;
    else if (typeof known === "string") found[name] = [known, value];
    else known.push(value);
    return found;
  }
};

// src/codec/reasons.ts
function tableOf(...codes) {
  const table = new Uint8Array(256);
  for (const code of codes) table[code] = 1;
  return table;
}
var CONNACK_CODES = tableOf(
  ...[0, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 140, 144],
  ...[149, 151, 153, 154, 155, 156, 157, 159]
);
var CONNACK_CODES_311 = tableOf(0, 1, 2, 3, 4, 5);
var PUBLISHED_CODES = tableOf(0, 16, 128, 131, 135, 144, 145, 151, 153);
var RELEASED_CODES = tableOf(0, 146);
var SUBACK_CODES = tableOf(
  ...[0, 1, 2, 128, 131, 135, 143, 145, 151, 158, 161, 162]
);
var SUBACK_CODES_311 = tableOf(0, 1, 2, 128);
var UNSUBACK_CODES = tableOf(0, 17, 128, 131, 135, 143, 145);
var DISCONNECT_CODES = tableOf(
  ...[0, 128, 129, 130, 131, 135, 137, 139, 141, 142, 143, 144, 147, 148],
  ...[149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162]
);
var AUTH_CODES = tableOf(0, 24);
function judgeReason(table, code, clause, cmd) {
  if (table[code] === 0) {
    const shown = `0x${code.toString(16).padStart(2, "0")}`;
    refuse(PROTOCOL_ERROR, clause, `${shown} is not a reason code that a server sends in ${cmd}`);
  }
}

// src/codec/answers.ts
function decodeAck(cmd, bytes, at, end) {
  if (end - at < 2) cutOff(`a ${cmd}`);
  const messageId = bytes[at] << 8 | bytes[at + 1];
  if (messageId === 0) zeroId(cmd);
  let reasonCode = 0;
  let properties;
  if (end - at > 2) {
    reasonCode = bytes[at + 2];
    if (reasonCode !== 0) {
      const published = cmd === "puback" || cmd === "pubrec";
      const table = published ? PUBLISHED_CODES : RELEASED_CODES;
      judgeReason(table, reasonCode, ACK_CLAUSES[cmd], cmd);
    }
    if (end - at > 3) {
      const reader = new Reader2(bytes, at + 3, end);
      properties = reader.properties("ack");
      if (reader.at !== end) leftOver(cmd);
    }
  }
  return cmd === "pubrel" ? { cmd, messageId, reasonCode, properties } : { cmd, messageId, reasonCode, properties, request: void 0 };
}
var ACK_CLAUSES = {
  puback: "MQTT-3.4.2-1",
  pubrec: "MQTT-3.5.2-1",
  pubrel: "MQTT-3.6.2-1",
  pubcomp: "MQTT-3.7.2-1"
};
function decodeConnack(version, bytes, at, end) {
  if (end - at < 2) cutOff("a connack");
  const flags = bytes[at];
  const code = bytes[at + 1];
  if (flags > 1) refuse(MALFORMED, "MQTT-3.2.2-1", "a connack has reserved flags set");
  const sessionPresent = flags === 1;
  if (version !== 5) {
    judgeReason(CONNACK_CODES_311, code, "MQTT-3.2.2-8", "connack");
    return { cmd: "connack", sessionPresent, returnCode: code };
  }
  if (end - at === 2 && flags === 0 && code === 1) {
    return { cmd: "connack", sessionPresent, reasonCode: 132, returnCode: 1 };
  }
  judgeReason(CONNACK_CODES, code, "MQTT-3.2.2-8", "connack");
  const reader = new Reader2(bytes, at + 2, end);
  const properties = reader.properties("connack");
  if (reader.at !== end) leftOver("connack");
  judgeAuthentication(properties, "connack");
  return properties === void 0 ? { cmd: "connack", sessionPresent, reasonCode: code } : { cmd: "connack", sessionPresent, reasonCode: code, properties };
}
function decodeSubscriptionAck(cmd, version, bytes, at, end) {
  const reader = new Reader2(bytes, at, end);
  const messageId = reader.uint16(`a ${cmd}`);
  if (messageId === 0) zeroId(cmd);
  const properties = version === 5 ? reader.properties(cmd) : void 0;
  const granted = [];
  if (cmd === "suback" || version === 5) {
    const table = cmd === "unsuback" ? UNSUBACK_CODES : version === 5 ? SUBACK_CODES : SUBACK_CODES_311;
    const clause = cmd === "suback" ? "MQTT-3.9.3-2" : "MQTT-3.11.3-2";
    if (reader.at === end) {
      const counts = cmd === "suback" ? "MQTT-3.8.4-6" : "MQTT-3.11.3-1";
      refuse(PROTOCOL_ERROR, counts, `a ${cmd} has no reason code`);
    }
    for (let i = reader.at; i < end; i++) {
      judgeReason(table, bytes[i], clause, cmd);
      granted.push(bytes[i]);
    }
  }
  return { cmd, messageId, granted, properties, request: void 0 };
}
function decodeDisconnect(bytes, at, end) {
  const reasonCode = end > at ? bytes[at] : 0;
  judgeReason(DISCONNECT_CODES, reasonCode, "MQTT-3.14.2-1", "disconnect");
  const properties = propertiesBehind(bytes, at + 1, end, "disconnect");
  if (properties?.sessionExpiryInterval !== void 0) {
    refuse(PROTOCOL_ERROR, "MQTT-3.14.2-2", "a server may not send sessionExpiryInterval here");
  }
  return reasonPacket("disconnect", reasonCode, properties);
}
function decodeAuth(bytes, at, end) {
  if (at === end) return reasonPacket("auth", 0, void 0);
  const reasonCode = bytes[at];
  judgeReason(AUTH_CODES, reasonCode, "MQTT-3.15.2-1", "auth");
  if (end - at === 1) cutOff("an auth");
  const properties = propertiesBehind(bytes, at + 1, end, "auth");
  judgeAuthentication(properties, "auth");
  if (properties?.authenticationMethod === void 0) {
    refuse(PROTOCOL_ERROR, "3.15.2.2.2", "an auth has no authenticationMethod");
  }
  return reasonPacket("auth", reasonCode, properties);
}
function reasonPacket(cmd, reasonCode, properties) {
  return properties === void 0 ? { cmd, reasonCode } : { cmd, reasonCode, properties };
}
function propertiesBehind(bytes, at, end, cmd) {
  if (at >= end) return void 0;
  const reader = new Reader2(bytes, at, end);
  const properties = reader.properties(cmd);
  if (reader.at !== end) leftOver(cmd);
  return properties;
}
function judgeAuthentication(properties, cmd) {
  if (properties?.authenticationData === void 0) return;
  if (properties.authenticationMethod === void 0) {
    refuse(PROTOCOL_ERROR, "3.15.2.2.3", `a ${cmd} has authenticationData without a method`);
  }
}
function leftOver(cmd) {
  return refuse(MALFORMED, "2.1.4", `a ${cmd} has bytes left over behind its last field`);
}
function zeroId(cmd) {
  return refuse(PROTOCOL_ERROR, "MQTT-2.2.1-4", `a ${cmd} has the packet identifier 0`);
}

// src/codec/chunks.ts
var SMALL_CHUNK_BYTES = 512;
var GATHER_BYTES_MIN2 = 1024;
var GATHER_BYTES_MAX = 65536;
var Chunks2 = class {
  /** The chunk being read, and how far. */
  head = EMPTY2;
  at = 0;
  /** Bytes not yet read, in all chunks. */
  held = 0;
  /** Bytes that were copied so far; for the tests of linear time. */
  copied = 0;
  waiting = null;
  nextWaiting = 0;
  gather = null;
  gathered = 0;
  push(chunk) {
    const length = chunk.length;
    if (length === 0) return;
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.held === 0) {
      this.head = bytes;
      this.at = 0;
    } else if (length <= SMALL_CHUNK_BYTES) {
      this.gatherSmall(bytes);
    } else {
      this.closeGather();
      this.enqueue(bytes);
    }
    this.held += length;
  }
  /** The byte `offset` bytes from here; it is held. */
  peek(offset) {
    let left = offset;
    const rest2 = this.head.length - this.at;
    if (left < rest2) return this.head[this.at + left];
    left -= rest2;
    this.closeGather();
    for (let i = this.nextWaiting; ; i++) {
      const chunk = this.waiting[i];
      if (left < chunk.length) return chunk[left];
      left -= chunk.length;
    }
  }
  /** Takes `total` bytes, which are held, into a buffer of their own. */
  join(total) {
    const joined = Buffer.allocUnsafeSlow(total);
    let filled = 0;
    for (; ; ) {
      const part = Math.min(this.head.length - this.at, total - filled);
      this.head.copy(joined, filled, this.at, this.at + part);
      filled += part;
      this.at += part;
      if (filled === total) break;
      this.next();
    }
    this.held -= total;
    this.copied += total;
    return joined;
  }
  /** Goes on to the next chunk, if there is one. */
  next() {
    this.closeGather();
    const { waiting } = this;
    const chunk = waiting?.[this.nextWaiting];
    if (waiting === null || chunk === void 0) return false;
    waiting[this.nextWaiting++] = EMPTY2;
    if (this.nextWaiting === waiting.length) {
      this.waiting = null;
      this.nextWaiting = 0;
    } else if (this.nextWaiting >= 64 && this.nextWaiting * 2 >= waiting.length) {
      waiting.splice(0, this.nextWaiting);
      this.nextWaiting = 0;
    }
    this.head = chunk;
    this.at = 0;
    return true;
  }
  /** Lets go of everything. */
  clear() {
    this.head = EMPTY2;
    this.at = 0;
    this.held = 0;
    this.waiting = null;
    this.nextWaiting = 0;
    this.gather = null;
    this.gathered = 0;
  }
  enqueue(chunk) {
    if (this.waiting === null) this.waiting = [];
    this.waiting.push(chunk);
  }
  gatherSmall(bytes) {
    let { gather } = this;
    if (gather === null || gather.length - this.gathered < bytes.length) {
      const size = gather === null ? GATHER_BYTES_MIN2 : gather.length * 2;
      this.closeGather();
      gather = this.gather = Buffer.allocUnsafeSlow(Math.min(size, GATHER_BYTES_MAX));
    }
    bytes.copy(gather, this.gathered);
    this.gathered += bytes.length;
    this.copied += bytes.length;
  }
  closeGather() {
    if (this.gather === null) return;
    this.enqueue(this.gather.subarray(0, this.gathered));
    this.gather = null;
    this.gathered = 0;
  }
};

// src/codec/header.ts
var NAMES2 = [
  ...["reserved", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp"],
  ...["subscribe", "suback", "unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect"],
  "auth"
];
function judgeFirstByte(first, version) {
  const type = first >> 4;
  const flags = first & 15;
  const name = NAMES2[type];
  if (type === 3) {
    if ((flags & 6) === 6) refuse(MALFORMED, "MQTT-3.3.1-4", "a publish has QoS 3");
    if ((flags & 14) === 8 && version !== 3) {
      refuse(PROTOCOL_ERROR, "MQTT-3.3.1-2", "a publish has DUP set at QoS 0");
    }
    return;
  }
  if (type === 0) refuse(MALFORMED, "2.1.2", "packet type 0 is reserved");
  if (type === 1 || type === 8 || type === 10 || type === 12 || type > 13 && version !== 5) {
    const where = type > 13 ? " before MQTT 5" : "";
    refuse(PROTOCOL_ERROR, "2.1.2", `a server does not send ${name}${where}`);
  }
  if (flags !== (type === 6 ? 2 : 0)) {
    refuse(MALFORMED, type === 6 ? "MQTT-3.6.1-1" : "MQTT-2.1.3-1", `${name} has wrong flags`);
  }
}
function fixedLengths(version) {
  return version === 5 ? FIXED_5 : FIXED_3;
}
var FIXED_5 = [-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1];
var FIXED_3 = [-1, -1, 2, -1, 2, 2, 2, 2, -1, -1, -1, 2, -1, 0, -1, -1];
function judgeLength(first, length, version) {
  const type = first >> 4;
  const fixed = fixedLengths(version)[type];
  if (fixed >= 0 && length !== fixed) {
    refuse(MALFORMED, "2.1.4", `${NAMES2[type]} has ${length} bytes; ${fixed} are right`);
  }
}

// src/codec/decode.ts
var STRETCH_BYTES = 2048;
var Decoder = class {
  version;
  maximumPacketSize;
  lengths;
  error = null;
  chunks = new Chunks2();
  /** Bytes that must be held before the next judgement can be made. */
  needed = 1;
  /** The stretch of `chunk` that was copied, where its copy is, and what turns an offset of one into the other. */
  stretch = null;
  stretchEnd = 0;
  stretchShift = 0;
  constructor(protocolVersion, maximumPacketSize) {
    this.version = protocolVersion;
    this.maximumPacketSize = maximumPacketSize;
    this.lengths = fixedLengths(protocolVersion);
  }
  /** Takes a chunk as it came from the socket; keeps a reference until it is consumed. */
  push(chunk) {
    if (this.error === null) this.chunks.push(chunk);
  }
  /** Bytes held that are not yet decoded. */
  get bufferedBytes() {
    return this.chunks.held;
  }
  /** Whether a read may return a packet or throw. */
  get ready() {
    return this.error !== null || this.chunks.held >= this.needed;
  }
  /**
   * Appends at most `max` packets to `into` and returns how many.
   * @throws ProtocolError at a packet that is wrong: the good ones before it are in `into`. It is thrown again by every later call.
   */
  read(into, max) {
    if (this.error !== null) throw this.error;
    if (this.chunks.held < this.needed) return 0;
    try {
      return this.decode(into, max);
    } catch (error) {
      throw this.fail(error);
    }
  }
  decode(into, max) {
    const chunks = this.chunks;
    const limit = this.maximumPacketSize;
    const { lengths } = this;
    let count2 = 0;
    while (count2 < max) {
      const chunk = chunks.head;
      const end = chunk.length;
      const begin = chunks.at;
      let at = begin;
      while (count2 < max && end - at >= 2) {
        const first = chunk[at];
        let length = chunk[at + 1];
        let body = at + 2;
        if (length >= 128) {
          if (end - at < 5) break;
          const second = chunk[at + 2];
          length = length & 127 | (second & 127) << 7;
          body = at + 3;
          if (second >= 128 || second === 0) break;
        }
        const stop = body + length;
        if (stop > end || stop - at > limit) break;
        const fixed = lengths[first >> 4];
        if (fixed >= 0 && length !== fixed) break;
        into.push(this.packet(first, chunk, body, stop, false));
        count2++;
        at = stop;
      }
      if (at !== begin) {
        chunks.at = at;
        chunks.held -= at - begin;
        this.needed = 1;
      }
      if (count2 === max) break;
      if (at === end) {
        this.forgetStretch();
        if (!chunks.next()) break;
      } else {
        const packet = this.slowPacket();
        if (packet === null) break;
        into.push(packet);
        count2++;
      }
    }
    if (chunks.held === 0) {
      chunks.clear();
      this.forgetStretch();
    }
    return count2;
  }
  packet(first, bytes, at, end, joined) {
    const version = this.version;
    switch (first) {
      case 48:
      case 49:
      case 50:
      case 51:
      case 52:
      case 53:
      case 58:
      case 59:
      case 60:
      case 61:
        return this.publish(first, bytes, at, end, joined);
      case 64:
        return decodeAck("puback", bytes, at, end);
      case 80:
        return decodeAck("pubrec", bytes, at, end);
      case 98:
        return decodeAck("pubrel", bytes, at, end);
      case 112:
        return decodeAck("pubcomp", bytes, at, end);
      case 32:
        return decodeConnack(version, bytes, at, end);
      case 144:
        return decodeSubscriptionAck("suback", version, bytes, at, end);
      case 176:
        return decodeSubscriptionAck("unsuback", version, bytes, at, end);
      case 208:
        return { cmd: "pingresp" };
      default:
        judgeFirstByte(first, version);
        if (first === 224) return decodeDisconnect(bytes, at, end);
        if (first === 240) return decodeAuth(bytes, at, end);
        return this.publish(first, bytes, at, end, joined);
    }
  }
  publish(first, bytes, at, end, joined) {
    if (end - at < 2) cutOff("a publish");
    const topicStart = at + 2;
    let behind = topicStart + (bytes[at] << 8 | bytes[at + 1]);
    if (behind > end) cutOff("the Topic Name");
    const topic = topicOf(bytes, topicStart, behind);
    const qos = first >> 1 & 3;
    let messageId;
    if (qos !== 0) {
      if (end - behind < 2) cutOff("the packet identifier");
      messageId = bytes[behind] << 8 | bytes[behind + 1];
      if (messageId === 0) zeroId("publish");
      behind += 2;
    }
    let properties;
    if (this.version === 5) {
      if (behind < end && bytes[behind] === 0) {
        behind++;
      } else {
        const reader = new Reader2(bytes, behind, end);
        properties = reader.properties("publish");
        behind = reader.at;
      }
    }
    if (topic === "" && properties?.topicAlias === void 0) {
      refuse(PROTOCOL_ERROR, "3.3.2.1", "a publish has neither a topic nor a topic alias");
    }
    return {
      cmd: "publish",
      topic,
      payload: joined ? payloadOfJoined(bytes, behind, end) : this.payloadOfChunk(bytes, behind, end),
      qos,
      dup: (first & 8) !== 0,
      retain: (first & 1) !== 0,
      messageId,
      properties
    };
  }
  payloadOfChunk(chunk, start, end) {
    const length = end - start;
    if (length === 0) return EMPTY2;
    if (end > this.stretchEnd) {
      if (length > STRETCH_BYTES / 2) return copyOf(chunk, start, end);
      const most = Math.min(STRETCH_BYTES, chunk.length - start);
      const { slab: slab2, offset, length: claimed } = claim(length, most);
      chunk.copy(slab2, offset, start, start + claimed);
      this.stretch = slab2.buffer;
      this.stretchEnd = start + claimed;
      this.stretchShift = offset - start;
    }
    return new View(this.stretch, start + this.stretchShift, length);
  }
  forgetStretch() {
    this.stretch = null;
    this.stretchEnd = 0;
  }
  /** The packet that begins here where it is cut, long or not yet judged; null: more bytes are needed. */
  slowPacket() {
    const { chunks, version } = this;
    if (chunks.held < this.needed) return null;
    const first = chunks.peek(0);
    judgeFirstByte(first, version);
    let length = 0;
    let size = 1;
    for (; ; ) {
      if (size >= chunks.held) {
        this.needed = size + 1;
        return null;
      }
      const byte = chunks.peek(size);
      length |= (byte & 127) << 7 * (size - 1);
      size++;
      if (byte < 128) {
        if (byte === 0 && size > 2) {
          refuse(MALFORMED, "MQTT-1.5.5-1", "the Remaining Length has more bytes than it needs");
        }
        break;
      }
      if (size === 5) refuse(MALFORMED, "2.1.4", "the Remaining Length is longer than four bytes");
    }
    const total = size + length;
    if (total > this.maximumPacketSize) {
      const limit = this.maximumPacketSize;
      refuse(PACKET_TOO_LARGE, "MQTT-3.1.2-24", `a packet of ${total} bytes; the limit is ${limit}`);
    }
    judgeLength(first, length, version);
    if (chunks.held < total) {
      this.needed = total;
      return null;
    }
    this.needed = 1;
    const { head, at } = chunks;
    if (head.length - at >= total) {
      const packet = this.packet(first, head, at + size, at + total, false);
      chunks.at = at + total;
      chunks.held -= total;
      return packet;
    }
    const joined = chunks.join(total);
    this.forgetStretch();
    return this.packet(first, joined, size, total, true);
  }
  /** Remembers the error, lets go of all bytes. */
  fail(error) {
    if (error instanceof ProtocolError) {
      const clause = clauseFor(this.version, error.clause);
      const { reasonCode } = error;
      this.error = clause === error.clause ? error : new ProtocolError(error.message, { reasonCode, clause });
    } else {
      this.error = new BugError("the decoder failed", { cause: error });
    }
    this.chunks.clear();
    this.forgetStretch();
    return this.error;
  }
};
function payloadOfJoined(joined, start, end) {
  const length = end - start;
  if (length === 0) return EMPTY2;
  if (joined.length - length > SLAB_BYTES) return copyOf(joined, start, end);
  return new View(joined.buffer, start, length);
}

// src/outbox.ts
var PIECE_BYTES = 65536;
var OUTSTANDING_BYTES_MAX = 262144;
var CONGESTED_BYTES = 524288;
var NOTHING5 = [];
var Outbox = class {
  encoder;
  #duplex;
  #listener;
  #queue = NOTHING5;
  #queueAt = 0;
  #queuedBytes = 0;
  #outstanding = 0;
  #publishes = 0;
  #ping = false;
  #ending = false;
  /** What the kernel took since the last report. */
  report = null;
  constructor(duplex, protocolVersion, listener) {
    this.encoder = new Encoder(protocolVersion);
    this.#duplex = duplex;
    this.#listener = listener;
  }
  /** QoS 0 publishes were encoded. */
  countPublishes(count2) {
    this.#publishes += count2;
  }
  /** QoS 0 publishes that were encoded elsewhere. */
  group(encoded, count2) {
    for (const bytes of encoded) this.encoder.append(bytes);
    this.#publishes += count2;
  }
  /** A PINGREQ was encoded. */
  countPing() {
    this.#ping = true;
  }
  /** Bytes that the kernel has not taken. */
  get pendingBytes() {
    return this.encoder.pendingBytes + this.#queuedBytes + this.#outstanding;
  }
  /** Hands over what was encoded; false: nothing was. */
  flush() {
    if (this.encoder.pendingBytes === 0) return false;
    const buffers = this.encoder.take();
    buffers.forEach((buffer, i) => {
      for (let at = 0; at < buffer.length; at += PIECE_BYTES) {
        const bytes = at === 0 && buffer.length <= PIECE_BYTES ? buffer : buffer.subarray(at, at + PIECE_BYTES);
        const last = i === buffers.length - 1 && at + PIECE_BYTES >= buffer.length;
        if (this.#queue === NOTHING5) this.#queue = [];
        this.#queue.push({ bytes, publishes: last ? this.#publishes : 0, ping: last && this.#ping });
        this.#queuedBytes += bytes.length;
      }
    });
    this.#publishes = 0;
    this.#ping = false;
    this.#pump();
    return true;
  }
  #pump() {
    while (this.#queueAt < this.#queue.length && this.#outstanding < OUTSTANDING_BYTES_MAX) {
      const piece = this.#queue[this.#queueAt++];
      this.#queuedBytes -= piece.bytes.length;
      this.#outstanding += piece.bytes.length;
      this.#duplex.write(piece.bytes, (error) => this.#taken(piece, error));
    }
    if (this.#queueAt < this.#queue.length) return;
    this.#queue = NOTHING5;
    this.#queueAt = 0;
    if (this.#ending) this.#duplex.end();
  }
  #taken(piece, error) {
    if (error) return;
    this.#outstanding -= piece.bytes.length;
    this.report ??= { publishes: 0, ping: false };
    this.report.publishes += piece.publishes;
    this.report.ping ||= piece.ping;
    if (this.#queueAt < this.#queue.length) this.#pump();
    this.#listener.written();
  }
  /** Closes the transport's writing side once everything is written. */
  end() {
    this.#ending = true;
    this.#pump();
  }
};

// src/link.ts
var LINK = /* @__PURE__ */ Symbol("link");
function onData(chunk) {
  this[LINK].data(chunk);
}
function onError(error) {
  this[LINK].failed(error);
}
function onEnd() {
  this[LINK].ended();
}
function onClose() {
  this[LINK].closed();
}
var Link = class {
  outbox;
  #decoder;
  #duplex;
  #listener;
  #error = null;
  #ended = false;
  #closed = false;
  /** We are closing: what still comes is thrown away. */
  #deaf = false;
  /** The decoder stopped because it was told to, not because it ran out of bytes. */
  #more = false;
  constructor(duplex, protocolVersion, maximumPacketSize, listener) {
    this.#duplex = duplex;
    this.#listener = listener;
    this.#decoder = new Decoder(protocolVersion, maximumPacketSize);
    this.outbox = new Outbox(duplex, protocolVersion, this);
    const linked = duplex;
    linked[LINK] = this;
    linked.on("data", onData).on("error", onError).on("end", onEnd).on("close", onClose);
    if (duplex.destroyed) queueMicrotask(() => this.closed());
  }
  data(chunk) {
    if (this.#deaf) return;
    this.#decoder.push(chunk);
    this.#more = true;
    this.#listener?.readable();
  }
  failed(error) {
    this.#error ??= error;
  }
  ended() {
    this.#ended = true;
    this.#duplex.destroy();
  }
  written() {
    this.#listener?.written();
  }
  closed() {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener?.closed(this.#error, this.#ended && this.#error === null);
  }
  /** Nothing more may be written [MQTT-3.14.4-1]. */
  get closing() {
    return this.#deaf;
  }
  /** Whether bytes wait that `read` has not seen. */
  get hasMore() {
    return this.#more;
  }
  /** Appends at most `max` packets. Throws the decoder's ProtocolError; the packets before it are appended. */
  read(into, max) {
    this.#more = this.#decoder.read(into, max) === max;
  }
  pause() {
    this.#duplex.pause();
  }
  resume() {
    this.#duplex.resume();
  }
  /** Writes what is left and closes. `patient`: the server may close first, else we do once everything is written. */
  close(patient) {
    this.outbox.flush();
    if (!patient) this.#duplex.once("finish", () => this.#duplex.destroy());
    this.#deaf = true;
    this.#duplex.resume();
    this.outbox.end();
  }
  destroy() {
    this.#duplex.destroy();
  }
  /** From now on somebody else listens; what happened meanwhile is told. */
  handTo(listener) {
    this.#listener = listener;
    if (listener !== null && this.#closed) {
      const ended = this.#ended && this.#error === null;
      queueMicrotask(() => listener.closed(this.#error, ended));
    }
  }
};

// src/options.ts
import { randomBytes } from "node:crypto";
var DAY_MS = 864e5;
var OWN_PROPERTIES = [
  "sessionExpiryInterval",
  "receiveMaximum",
  "maximumPacketSize",
  "topicAliasMaximum"
];
function resolveOptions(given, session2) {
  const options2 = toOptions(given);
  for (const name of Object.keys(options2)) {
    if (!NAMES3.has(name))
      throw wrong(name, void 0, `one of ${[...NAMES3].join(", ")}`, "is no option");
  }
  judgeEndpoint(options2);
  const { username, password } = credentials(options2);
  const restored = session2 ?? (options2.session instanceof Session ? options2.session : null);
  const store = isStore(options2.session) ? options2.session : null;
  if (options2.session !== void 0 && options2.session !== "adopt" && !restored && !store) {
    throw wrong("session", options2.session, 'a Session, a SessionStore or "adopt"');
  }
  judgeRecorder(options2.recorder);
  const config = resolveConfig(options2, restored);
  checkProperties("properties", options2.properties, config.protocolVersion);
  for (const name of OWN_PROPERTIES) {
    if (options2.properties?.[name] === void 0) continue;
    throw new UsageError(`properties.${name}: give it as the option ${name}`);
  }
  checkWill(options2.will, config.protocolVersion);
  if (config.protocolVersion < 5 && password !== void 0 && username === void 0) {
    throw new UsageError("password: MQTT 3 allows no password without a user name [MQTT-3.1.2-22]");
  }
  encodeRare(
    connectPacket({ options: options2, config }, config.clientId, config.protocolVersion, config.cleanStart),
    config.protocolVersion
  );
  return { options: options2, config, session: restored, store };
}
function retryableOf({ reconnect: reconnect2 }) {
  return isPlainObject(reconnect2) ? reconnect2.retryable : null;
}
function judgeRecorder(given) {
  if (given === void 0) return;
  if (!isPlainObject(given)) throw wrong("recorder", given, "{ inputs, bytes, onFault }");
  checkFields("recorder", given, RECORDER_FIELDS);
  const { inputs, bytes, onFault } = given;
  whole("recorder.inputs", inputs ?? Number.NaN, 0, 1, 1e7);
  flag("recorder.bytes", bytes, false);
  if (onFault !== void 0 && typeof onFault !== "function") {
    throw wrong("recorder.onFault", onFault, "a function");
  }
}
var RECORDER_FIELDS = /* @__PURE__ */ new Set(["inputs", "bytes", "onFault"]);
function hasSession({ session: session2, store }) {
  return session2 !== null || store !== null;
}
function toOptions(given) {
  if (typeof given === "string") return { url: given };
  if (given instanceof URL) return { url: given.href };
  if (typeof given === "object" && given !== null && !Array.isArray(given)) {
    const { url } = given;
    return url instanceof URL ? { ...given, url: url.href } : given;
  }
  throw new UsageError(
    `options: a URL or an object of options is expected, ${describe(given)} was given`
  );
}
function isStore(value) {
  const store = value;
  return typeof store === "object" && store !== null && typeof store.load === "function" && typeof store.commit === "function";
}
var WILL_FIELDS = /* @__PURE__ */ new Set([
  "topic",
  "payload",
  "qos",
  "retain",
  "properties"
]);
function checkWill(will, protocolVersion) {
  if (will === void 0) return;
  if (!isPlainObject(will)) throw wrong("will", will, "an object with topic and payload");
  checkFields("will", will, WILL_FIELDS);
  const { topic, payload: payload2 = "", qos = 0, retain = false, properties } = will;
  const problem = typeof topic === "string" ? topicNameProblem(topic) : "is no string";
  if (problem !== null) throw new UsageError(`will.topic ${problem}: ${describe(topic)}`);
  if (!isPayload(payload2)) throw wrong("will.payload", payload2, "a string, bytes or { base64 }");
  if (![0, 1, 2].includes(qos)) throw wrong("will.qos", qos, "0, 1 or 2");
  if (typeof retain !== "boolean") throw wrong("will.retain", retain, "true or false");
  checkProperties("will.properties", properties, protocolVersion);
}
var BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;
function isPayload(value) {
  if (typeof value === "string" || value instanceof Uint8Array) return true;
  const base64 = isPlainObject(value) ? value.base64 : void 0;
  return typeof base64 === "string" && BASE64.test(base64);
}
function checkProperties(name, given, protocolVersion) {
  if (given === void 0) return;
  if (!isPlainObject(given)) throw wrong(name, given, "an object of properties");
  if (protocolVersion === 5) return;
  throw new UsageError(
    `${name}: only MQTT 5 has properties; leave them out or set protocolVersion: 5`
  );
}
function isPlainObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}
function checkFields(name, given, allowed) {
  for (const field of Object.keys(given)) {
    if (allowed.has(field)) continue;
    throw new UsageError(
      `${name}.${field} is not known: one of ${[...allowed].join(", ")} is expected`
    );
  }
}
function resolveConfig(o, session2) {
  const resumes = session2 !== null && session2.protocolVersion > 0;
  const kept = isStore(o.session);
  const adopt = o.session === "adopt";
  const cleanStart = resumes || adopt || kept ? false : flag("cleanStart", o.cleanStart, true);
  const receiveMaximum = whole("receiveMaximum", o.receiveMaximum, 1024, 1, 65535);
  const generated = `it-mqtt-${randomBytes(7).toString("hex")}`;
  const clientId = o.clientId === void 0 ? session2?.clientId ?? generated : o.clientId;
  if (typeof clientId !== "string") throw wrong("clientId", clientId, "a string");
  if (Buffer.byteLength(clientId) > 65535 || /\0|\p{Surrogate}/u.test(clientId)) {
    throw wrong("clientId", clientId, "a string of at most 65,535 bytes of UTF-8 without U+0000");
  }
  if (session2 !== null && clientId !== session2.clientId) {
    throw wrong("clientId", clientId, `"${session2.clientId}", whose session was given`);
  }
  const made = session2?.protocolVersion || void 0;
  const spoken = o.protocolVersion ?? made ?? 5;
  if (clientId === "" && spoken < 5 && !cleanStart) {
    throw new UsageError(
      "clientId: MQTT 3 allows an empty one only with cleanStart: true [MQTT-3.1.3-7]"
    );
  }
  const protocolVersion = choice(
    "protocolVersion",
    o.protocolVersion === void 0 ? made : o.protocolVersion,
    5,
    [5, 4, 3]
  );
  const pinned = o.protocolVersion !== void 0 || made !== void 0 || o.properties !== void 0 || o.will?.properties !== void 0;
  const callbacks = { onConnected: o.onConnected, onSettled: o.onSettled, onWarning: o.onWarning };
  for (const [name, value] of Object.entries(callbacks)) {
    if (value !== void 0 && typeof value !== "function") throw wrong(name, value, "a function");
  }
  if (o.signal !== void 0 && !(o.signal instanceof AbortSignal))
    throw wrong("signal", o.signal, "an AbortSignal");
  return {
    protocolVersion,
    versionMayFall: !pinned,
    clientId,
    cleanStart,
    store: kept ? "kept" : "none",
    resumes,
    adopt,
    sessionExpiryInterval: whole(
      "sessionExpiryInterval",
      o.sessionExpiryInterval,
      cleanStart ? 300 : 86400,
      0,
      4294967295
    ),
    keepAlive: whole("keepAlive", o.keepAlive, 60, 0, 65535),
    connectTimeoutMs: bounded("connectTimeout", o.connectTimeout, 1e4, 1, 36e5),
    reconnect: reconnectPolicy(o.reconnect),
    maxInflight: whole("maxInflight", o.maxInflight, 1e3, 1, 65e3),
    receiveMaximum,
    maxBufferedPackets: whole(
      "maxBufferedPackets",
      o.maxBufferedPackets,
      receiveMaximum + 1024,
      1,
      1e6
    ),
    maxBufferedBytes: whole(
      "maxBufferedBytes",
      o.maxBufferedBytes,
      16 * 1024 * 1024,
      1,
      Number.MAX_SAFE_INTEGER
    ),
    maximumPacketSize: whole(
      "maximumPacketSize",
      o.maximumPacketSize,
      MAXIMUM_PACKET_SIZE2,
      1,
      MAXIMUM_PACKET_SIZE2
    ),
    topicAliasMaximum: whole("topicAliasMaximum", o.topicAliasMaximum, 0, 0, 65535),
    acks: choice("acks", o.acks, "pull", ["pull", "receipt", "manual"]),
    onSessionLost: choice("onSessionLost", o.onSessionLost, "republish", ["republish", "fail"]),
    ackTimeout: ackTimeout(o.ackTimeout),
    quarantineAfter: whole("quarantineAfter", o.quarantineAfter, 3, 0, 1e3),
    until: choice("until", o.until, "idle", ["idle", "settled", "closed"]),
    hasBirths: o.onConnected !== void 0,
    disconnectReason: choice("disconnectReason", o.disconnectReason, 0, [0, 4]),
    authenticationMethod: o.properties?.authenticationMethod ?? null,
    requestProblemInformation: o.properties?.requestProblemInformation !== false,
    warnAfterMs: bounded("warnAfterMs", o.warnAfterMs, 3e4, 1, DAY_MS)
  };
}
var MAXIMUM_PACKET_SIZE2 = 268435455;
var RECONNECT_FIELDS = /* @__PURE__ */ new Set([
  "when",
  "minMs",
  "maxMs",
  "stableMs",
  "retryable"
]);
var DEFAULT_POLICY = {
  when: "after-first-success",
  minMs: 100,
  maxMs: 3e4,
  stableMs: 3e4
};
function reconnectPolicy(given) {
  if (given === void 0) return DEFAULT_POLICY;
  const r = isPlainObject(given) ? given : {};
  const named2 = isPlainObject(given) ? r.when : given;
  checkFields("reconnect", r, RECONNECT_FIELDS);
  if (r.retryable !== void 0 && typeof r.retryable !== "function") {
    throw wrong("reconnect.retryable", r.retryable, "a function of a failure");
  }
  return {
    when: choice("reconnect", named2, DEFAULT_POLICY.when, [
      "always",
      "after-first-success",
      "never"
    ]),
    minMs: bounded("reconnect.minMs", r.minMs, DEFAULT_POLICY.minMs, 0, 36e5),
    maxMs: bounded("reconnect.maxMs", r.maxMs, DEFAULT_POLICY.maxMs, 0, DAY_MS),
    stableMs: bounded("reconnect.stableMs", r.stableMs, DEFAULT_POLICY.stableMs, 0, DAY_MS)
  };
}
function ackTimeout(given) {
  if (given === void 0) return null;
  if (typeof given !== "object" || given === null)
    throw wrong("ackTimeout", given, "{ afterMs, then }");
  return {
    afterMs: bounded("ackTimeout.afterMs", given.afterMs, Number.NaN, 1, DAY_MS),
    then: choice("ackTimeout.then", given.then, "reconnect", ["reconnect", "fail"])
  };
}
function flag(name, given, fallback) {
  if (given === void 0) return fallback;
  if (typeof given !== "boolean") throw wrong(name, given, "true or false");
  return given;
}
function whole(name, given, fallback, min, max) {
  const value = bounded(name, given, fallback, min, max);
  if (!Number.isInteger(value)) throw wrong(name, given, `a whole number from ${min} to ${max}`);
  return value;
}
function bounded(name, given, fallback, min, max) {
  const value = given === void 0 ? fallback : given;
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw wrong(name, given, `a number from ${min} to ${max}`);
  }
  return value;
}
function choice(name, given, fallback, allowed) {
  if (given === void 0) return fallback;
  if (!allowed.includes(given)) {
    throw wrong(name, given, `one of ${allowed.map((one) => JSON.stringify(one)).join(", ")}`);
  }
  return given;
}
var NAMES3 = /* @__PURE__ */ new Set([
  "url",
  "clientId",
  "protocolVersion",
  "username",
  "password",
  "will",
  "properties",
  "cleanStart",
  "sessionExpiryInterval",
  "session",
  "keepAlive",
  "connectTimeout",
  "reconnect",
  "maxInflight",
  "receiveMaximum",
  "maxBufferedPackets",
  "maxBufferedBytes",
  "maximumPacketSize",
  "topicAliasMaximum",
  "acks",
  "onSessionLost",
  "ackTimeout",
  "quarantineAfter",
  "until",
  "disconnectReason",
  "onConnected",
  "onSettled",
  "onWarning",
  "warnAfterMs",
  "recorder",
  "signal",
  "tls",
  "transport",
  "platform"
]);

// src/platform.ts
var TIMER_MS_MAX = 2 ** 31 - 1;
var machine = {
  now: () => performance.now(),
  setTimer: (callback, ms) => setTimeout(callback, Math.min(Math.max(0, ms), TIMER_MS_MAX)),
  clearTimer: (timer) => clearTimeout(timer),
  random: () => Math.random()
};

// src/protocol/views.ts
var MESSAGE_IDS2 = 65535;
function intake(state) {
  const { connection, flow, session: session2, outgoing, config } = state;
  const open = connection.kind === "connected" && !connection.birthsPending;
  if (!open || flow.paused || flow.congested || flow.requestsEnded) return 0;
  if (connection.drainBy !== Infinity || waitingCount(session2) > 0) return 0;
  if (flow.perSecond > 0 || session2.cautiousBelow > 0) return 1;
  if (outgoing.resendAt < outgoing.resend.length) return 1;
  const window = Math.min(connection.limits.receiveMaximum, config.maxInflight);
  const free = Math.min(window - outgoing.inFlight, MESSAGE_IDS2 - session2.open.size);
  return Math.max(0, free) + 1;
}
function room(state) {
  const { connection, flow, keepAlive, config } = state;
  if (connection.kind === "connecting") return 1;
  if (connection.kind !== "connected" || keepAlive.readingPaused) return 0;
  return Math.max(1, config.maxBufferedPackets - flow.bufferedPackets);
}
function deadline(state) {
  const { connection, flow, session: session2, keepAlive, config, outgoing, incoming } = state;
  let due = Math.min(connection.closeBy, connection.drainBy, flow.pausedUntil);
  due = Math.min(due, session2.waitingExpiresAt);
  switch (connection.kind) {
    case "connecting":
      return Math.min(due, connection.connectBy);
    case "disconnected":
      return Math.min(due, connection.retryAt);
    case "closing":
      return connection.closeBy;
    case "connected": {
      due = Math.min(due, pingDueAt(keepAlive), deadAt(keepAlive));
      if (flow.perSecond > 0 && waitsForThrottle(state)) {
        due = Math.min(due, transmissionDueAt(flow));
      }
      if (config.ackTimeout !== null && !flow.paused) {
        due = Math.min(due, outgoing.ackCheckAt + flow.pausedMs);
      }
      if (!flow.warned && flow.consumerAwaitedSince >= 0) {
        due = Math.min(due, flow.consumerAwaitedSince + config.warnAfterMs);
      }
      return Math.min(due, forgottenAt(config, incoming));
    }
    default:
      return Infinity;
  }
}
function waitsForThrottle({ session: session2, outgoing, connection, config }) {
  const head = session2.waiting[session2.waitingAt];
  if (head === void 0 || connection.birthsPending || session2.cautiousBelow > 0) return false;
  if (outgoing.resendAt < outgoing.resend.length) return false;
  const window = Math.min(connection.limits.receiveMaximum, config.maxInflight);
  const windowed = head.facts.kind === "publish" && head.facts.qos > 0;
  return !windowed || outgoing.inFlight < window;
}

// src/recorder.ts
var MAGIC = "it-mqtt recording";
var FORMAT2 = 1;
var Recorder = class {
  #options;
  #entries = [];
  #weight = 0;
  constructor(options2) {
    this.#options = options2;
  }
  note(before, inputs, effects, after) {
    this.#entries.push({ before, inputs, effects, after });
    this.#weight += weightOf2(inputs);
    while (this.#weight > this.#options.inputs && this.#entries.length > 1) {
      this.#weight -= weightOf2(this.#entries.shift().inputs);
    }
  }
  fault() {
    this.#options.onFault?.(this.text());
  }
  /** NDJSON: a header, the state before the oldest input, the steps, the state at the end. */
  text() {
    const bytes = this.#options.bytes ?? false;
    const lines = [JSON.stringify({ [MAGIC]: FORMAT2, bytes })];
    const line = (value) => lines.push(JSON.stringify(plain(value, bytes)));
    let reached = null;
    for (const { before, inputs, effects, after } of this.#entries) {
      if (before !== reached) line({ state: before });
      line({ inputs, effects });
      reached = after;
    }
    if (reached !== null) line({ end: reached });
    return `${lines.join("\n")}
`;
  }
};
function weightOf2(inputs) {
  let weight = 0;
  for (const input of inputs) {
    if (input.type === "received") weight += input.packets.length;
    else if (input.type === "requests") weight += input.requests.length;
    else weight++;
  }
  return weight;
}
var ADDED = /* @__PURE__ */ new Set(["request", "deliveryId", "redelivered"]);
function plain(value, bytes) {
  if (typeof value === "number") return Number.isFinite(value) ? value : { $number: String(value) };
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) {
    return bytes ? { $bytes: Buffer.from(value).toString("base64") } : { $length: value.length };
  }
  if (Array.isArray(value)) {
    if (!value.includes(void 0)) return value.map((item) => plain(item, bytes));
    const held = [...value.entries()].filter(([, item]) => item !== void 0);
    return { $size: value.length, at: held.map(([i, item]) => [i, plain(item, bytes)]) };
  }
  const isPacket = "cmd" in value;
  const entries2 = Object.entries(value).filter(([name, one]) => one !== void 0 && !(isPacket && ADDED.has(name))).map(([name, one]) => [name, plain(one, bytes)]);
  return Object.fromEntries(entries2);
}

// src/state.ts
function viewOf(state, gathered) {
  const { connection, session: session2, outgoing, flow, counters, keepAlive } = state;
  const { kind, reason, retryAt, protocolVersion } = connection;
  const held = session2.owed + waitingCount(session2) + outgoing.unconfirmed + gathered;
  let subscriptions;
  return Object.freeze({
    connection: Object.freeze({
      kind,
      reason,
      retryAt: kind === "disconnected" && retryAt !== Number.POSITIVE_INFINITY ? retryAt : null,
      protocolVersion,
      limits: kind === "connected" ? connection.limits : null,
      keepAlive: keepAlive.intervalMs / 1e3
    }),
    clientId: session2.clientId,
    paused: flow.paused,
    counters: Object.freeze({
      taken: counters.taken + gathered,
      settled: counters.settled,
      held,
      inFlight: outgoing.inFlight,
      sent: counters.sent,
      received: counters.received,
      acknowledged: counters.acknowledged,
      bufferedPackets: flow.bufferedPackets,
      bufferedBytes: flow.bufferedBytes,
      reconnections: counters.reconnections
    }),
    get subscriptions() {
      subscriptions ??= subscriptionsOf(session2.subscriptions);
      return subscriptions.map(({ subscription, granted }) => ({
        topic: subscription.topic,
        qos: subscription.qos,
        granted
      }));
    }
  });
}

// src/loop.ts
var DRAIN_MS = 1e4;
var ACK_CODES = [0, 16, 128, 131, 135, 144, 145, 151, 153];
var CLOSE_UNBEGUN = { type: "shutdown", at: 0, failure: null };
var NO_PINGS = [];
var NO_INPUTS = [];
var Loop = class _Loop {
  #ears;
  #resolved;
  #platform;
  #causes = new Causes();
  #ledger;
  #inbox;
  /** Null: no transport is being opened. */
  #dialer = null;
  #state;
  #intake;
  #gate;
  #link = null;
  #inputs = NO_INPUTS;
  #scheduled = false;
  #turning = false;
  #timer = null;
  #timerAt = Number.POSITIVE_INFINITY;
  #onAbort = null;
  #pings = NO_PINGS;
  /** What an ended loop still has to throw. */
  #error = null;
  /** Begun and not ended. */
  #alive = false;
  /** Ended, but its store is not closed yet, and nobody is told. */
  #closing = false;
  /** Those who wait until all is over. */
  #awaiting = null;
  /** The consumer left: the streams are closed, not released. */
  #left = false;
  #begun = false;
  /** Acknowledgements that the reducers have not heard of. */
  #acking = null;
  #recorder;
  #retryable;
  /** What `connect()` waits for; and the effects of its CONNACK, until a loop takes over. */
  #establishing = null;
  #kept = null;
  /** SUBSCRIBE requests of the engine's own, by packet identifier. */
  #renewals = null;
  constructor(resolved, requests, controls) {
    const { options: options2, config, session: session2 } = resolved;
    this.#ears = new _Loop.#Ears(this);
    this.#retryable = retryableOf(options2);
    this.#recorder = options2.recorder === void 0 ? null : new Recorder(options2.recorder);
    this.#resolved = resolved;
    this.#platform = options2.platform ?? machine;
    this.#ledger = new Ledger(this.#causes, options2.onSettled, this.#ears);
    this.#inbox = new Inbox(config.acks === "manual");
    this.#intake = new Intake(this.#ledger, this.#ears);
    const { store } = resolved;
    this.#gate = store === null ? null : new Gate(store, this.#ears);
    this.#intake.attach(requests, controls);
    this.#state = initialState(config, initialSession(config.clientId));
    if (session2 !== null) this.#restore(session2);
  }
  #restore(session2) {
    const record = restorable(session2.record(), this.#platform.random());
    const restored = this.#ledger.restore(
      record,
      this.#intake.requests,
      this.#now(),
      this.#wallOffsetMs()
    );
    const { counters, ...state } = initialState(this.#state.config, restored);
    const taken = restored.owed + restored.waiting.length;
    this.#state = { ...state, counters: { ...counters, taken } };
  }
  [Symbol.asyncIterator]() {
    return this;
  }
  async [Symbol.asyncDispose]() {
    await this.return();
  }
  // ------------------------------------------------------------------------------------------------------- the iterator
  next() {
    if (!this.#begun) this.#begin();
    if (this.#state.config.acks === "pull") this.#inbox.handled();
    const packet = this.#inbox.take();
    if (this.#inbox.dirty) this.#taken();
    if (packet !== void 0) return Promise.resolve({ done: false, value: packet });
    if (this.#alive || this.#closing) return this.#inbox.wait();
    const error = this.#error;
    this.#error = null;
    if (error !== null) return Promise.reject(error.reason);
    return Promise.resolve({ done: true, value: void 0 });
  }
  /** What the consumer took counts even after the end: the session remembers what was handled. */
  #taken() {
    if (this.#alive) return this.#schedule();
    this.#collect();
    const inputs = this.#inputs;
    this.#inputs = NO_INPUTS;
    this.#state = step(this.#state, inputs).state;
  }
  /** The consumer leaves (`break`): says goodbye to the server and closes the request stream. */
  async return() {
    this.#leave();
    this.#error = null;
    this.#run({ type: "shutdown", at: this.#now(), failure: null });
    await this.#over();
    return { done: true, value: void 0 };
  }
  async throw(error) {
    await this.return();
    throw error;
  }
  /** The packets that nobody took, and what streams handed out, are settled for the last time. */
  #leave() {
    if (this.#left || this.#begun && !this.#alive) return;
    this.#left = true;
    if (!this.#begun) {
      this.#begun = true;
      if (this.#kept === null) this.#state = step(this.#state, CLOSE_UNBEGUN).state;
      this.#kept = null;
      this.#link?.handTo(this.#ears);
    }
    this.#flushFacts(false);
    this.#intake.close();
    this.#flushFacts(true);
    this.#inbox.clear();
  }
  #isOver() {
    const { kind } = this.#state.connection;
    return kind === "closed" || kind === "failed";
  }
  /** The first `next()`: from now on the loop lives. */
  #begin() {
    this.#begun = true;
    const kept = this.#kept;
    if (kept !== null) return this.#takeOver(kept);
    this.#start();
  }
  #start() {
    this.#alive = true;
    const { signal } = this.#resolved.options;
    if (signal?.aborted) return this.#abort();
    if (signal !== void 0) {
      this.#onAbort = () => this.#abort();
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
    const gate = this.#gate;
    if (gate === null) this.#run({ type: "start", at: this.#now() });
    else this.#load(gate);
  }
  /** The session of the store, before anything is sent. */
  async #load(gate) {
    try {
      const session2 = await gate.load();
      if (!this.#alive) return;
      if (session2 !== null) this.#continue(session2);
      if (!session2?.protocolVersion) this.#configure({ store: "empty" });
    } catch (reason) {
      return this.#end({ reason });
    }
    this.#run({ type: "start", at: this.#now() });
  }
  #continue(session2) {
    const { options: options2 } = this.#resolved;
    const { config } = resolveOptions({ ...options2, session: session2 }, session2);
    this.#configure({ ...config, cleanStart: false, store: "kept" });
    this.#restore(session2);
  }
  /** Before anything is sent. */
  #configure(config) {
    this.#state = { ...this.#state, config: { ...this.#state.config, ...config } };
  }
  /** For `connect()`: one attempt, up to the CONNACK. Nothing is sent and nothing read beyond it. */
  establish() {
    this.#begun = true;
    return new Promise((resolve, reject) => {
      this.#establishing = (error) => {
        if (error === null) resolve(this.#state.connection.connack);
        else reject(error.reason);
      };
      this.#start();
    });
  }
  #keep(effects) {
    const settle2 = this.#establishing;
    this.#establishing = null;
    this.#kept = effects;
    this.#link?.pause();
    this.#link?.handTo(null);
    this.#begun = false;
    settle2?.(null);
  }
  /** Gives what `connect()` resolved with to a loop: these are its streams and its policy. */
  adopt(requests, controls, policy) {
    this.#intake.attach(requests, controls);
    this.#ledger.rebind(requests);
    const { reconnect: reconnect2 } = this.#state;
    this.#state = { ...this.#state, reconnect: { ...reconnect2, policy } };
  }
  /** Before the first `next()`. */
  observe({ until, acks, settled }) {
    this.#configure({ until, acks });
    this.#inbox = new Inbox(acks === "manual");
    this.#ledger.observe(settled);
  }
  #takeOver(kept) {
    this.#kept = null;
    this.#turning = true;
    for (const effect of kept) this.#performOne(effect);
    this.#turning = false;
    this.#inbox.serve();
    this.#link?.outbox.flush();
    this.#link?.handTo(this.#ears);
    if (!this.#state.keepAlive.readingPaused) this.#link?.resume();
    this.#run({ type: "tick", at: this.#now() });
  }
  #abort() {
    this.#leave();
    this.#fail(this.#resolved.options.signal?.reason);
  }
  /** Ends the loop with an error of the user's; one whose end only waits for its store ends at once. */
  #fail(error) {
    if (this.#isOver()) return this.#end({ reason: error });
    const failure2 = rethrown(this.#causes.keep(error));
    this.#push({ type: "shutdown", at: this.#now(), failure: failure2 });
  }
  // ------------------------------------------------------------------------------------------------------------ queries
  get state() {
    return viewOf(this.#state, this.#intake.pending);
  }
  get session() {
    return this.#ledger.session(this.#state.session, this.#isOver(), this.#wallOffsetMs());
  }
  recording() {
    return this.#recorder?.text() ?? null;
  }
  // ----------------------------------------------------------------------------------------------------------- controls
  ack(packet, reasonCode = 0) {
    if (typeof packet !== "object" || packet === null) {
      throw new UsageError("ack: a PUBLISH that this loop yielded is expected");
    }
    const allowed = this.#state.connection.protocolVersion === 5 ? ACK_CODES : [0];
    if (!allowed.includes(reasonCode)) {
      const where = allowed.length === 1 ? " (only MQTT 5 can refuse a message)" : "";
      const codes = allowed.map(hex).join(", ") + where;
      throw new UsageError(
        `ack: a reason code of ${codes} is expected, ${describe(reasonCode)} was given`
      );
    }
    const sequence = this.#inbox.sequenceOf(packet);
    const messageId = packet.messageId ?? 0;
    if (sequence === void 0 || !this.#mayAck(sequence, messageId)) return "stale";
    this.#acking ??= /* @__PURE__ */ new Set();
    this.#acking.add(sequence);
    this.#push({ type: "ack", at: this.#now(), sequence, messageId, reasonCode });
    return "queued";
  }
  /** Of this connection; or at QoS 2 of an earlier one, where its redelivery is what is acknowledged. */
  #mayAck(sequence, messageId) {
    const { incoming, session: session2 } = this.#state;
    if (this.#acking?.has(sequence) || this.#isOver()) return false;
    if (sequence >= incoming.epochFrom) return isPending(incoming, sequence);
    const message = lookup(session2.received, messageId);
    return message?.sequence === sequence && message.stage === "arrived";
  }
  pause(ms) {
    this.#control(
      prepareControl(ms === void 0 ? { cmd: "pause" } : { cmd: "pause", ms }).control
    );
  }
  resume() {
    this.#control({ cmd: "resume" });
  }
  throttle(perSecond) {
    this.#control(prepareControl({ cmd: "throttle", perSecond }).control);
  }
  reconnect(reconnect2) {
    const control = reconnect2 === void 0 ? { cmd: "reconnect" } : { cmd: "reconnect", reconnect: reconnect2 };
    this.#control(prepareControl(control).control);
  }
  disconnect(timeout = DRAIN_MS) {
    this.#control(prepareControl({ cmd: "disconnect", timeout }).control);
  }
  shutdown() {
    this.#control({ cmd: "shutdown" });
  }
  /** Resolves when the server has answered a PINGREQ; rejects where it does not within keepAlive, or the connection ends. */
  ping() {
    const answer2 = new Promise((resolve, reject) => {
      this.#ping(
        (error, roundTripMs) => error === null ? resolve({ roundTripMs }) : reject(error)
      );
    });
    answer2.catch(() => {
    });
    return answer2;
  }
  #control(control) {
    const at = this.#now();
    switch (control.cmd) {
      case "pause":
        return this.#run({ type: "pause", at, ms: control.ms ?? Number.POSITIVE_INFINITY });
      case "resume":
        return this.#run({ type: "resume", at });
      case "throttle":
        return this.#run({ type: "throttle", at, perSecond: control.perSecond ?? 0 });
      case "reconnect": {
        const policy = control.reconnect === void 0 ? null : reconnectPolicy(control.reconnect);
        if (control.reconnect !== void 0) this.#retryable = control.reconnect.retryable ?? null;
        return this.#run({ type: "reconnect", at, policy });
      }
      case "disconnect":
        return this.#run({
          type: "disconnect",
          at,
          timeoutMs: control.timeout ?? DRAIN_MS,
          failure: null
        });
      case "shutdown":
        return this.#run({ type: "shutdown", at, failure: null });
      case "ping":
        return this.#ping(
          (error, roundTripMs) => this.#ledger.tellControl(control, error, roundTripMs)
        );
    }
  }
  #ping(settle2) {
    const { connection, keepAlive } = this.#state;
    if (connection.kind !== "connected") {
      const message = "ping: there is no connection now.";
      return settle2(new ConnectionError(message, { code: "NOT_CONNECTED" }), 0);
    }
    const sentAt2 = this.#now();
    const limitMs = keepAlive.intervalMs || this.#resolved.config.connectTimeoutMs;
    const timer = this.#platform.setTimer(() => {
      this.#pings = this.#pings.filter((other) => other !== ping2);
      const message = `The server did not answer a PINGREQ within ${limitMs} ms.`;
      settle2(new ConnectionError(message, { code: "PING_TIMEOUT" }), 0);
    }, limitMs);
    const ping2 = {
      // Answers come in order: those to earlier PINGREQs are not ours.
      unanswered: connection.pings + this.#inputs.filter(({ type }) => type === "ping").length + 1,
      settle: (error) => {
        this.#platform.clearTimer(timer);
        settle2(error, this.#now() - sentAt2);
      }
    };
    this.#pings = [...this.#pings, ping2];
    this.#push({ type: "ping", at: sentAt2 });
  }
  // -------------------------------------------------------------------------------------------------------------- intake
  #flushFacts(hold2) {
    const requests = this.#intake.drainFacts();
    if (requests === null) return;
    this.#add({ type: "requests", at: this.#now(), requests, hold: hold2 });
  }
  #requestsEnded(error) {
    const at = this.#now();
    this.#flushFacts(false);
    this.#push({ type: "requestsEnded", at });
    if (error === null) return;
    const failure2 = rethrown(this.#causes.keep(error.thrown));
    this.#push({ type: "disconnect", at, timeoutMs: DRAIN_MS, failure: failure2 });
  }
  // --------------------------------------------------------------------------------------------------------------- turns
  #now() {
    return this.#platform.now();
  }
  /** What to add to the loop's clock for the wall clock. */
  #wallOffsetMs() {
    return Date.now() - this.#platform.now();
  }
  #add(input) {
    if (this.#inputs === NO_INPUTS) this.#inputs = [input];
    else this.#inputs.push(input);
  }
  /** Something happened; it is dealt with when the current burst is over. */
  #push(input) {
    this.#flushFacts(false);
    this.#add(input);
    this.#schedule();
  }
  /** Something happened that is dealt with at once; within a turn, as soon as its effects are performed. */
  #run(input) {
    this.#flushFacts(false);
    this.#add(input);
    this.#turn();
  }
  #schedule() {
    if (this.#scheduled || this.#turning || !this.#alive) return;
    this.#scheduled = true;
    process.nextTick(_Loop.#scheduledTurn, this);
  }
  static #scheduledTurn(loop) {
    loop.#scheduled = false;
    loop.#turn();
  }
  #turn() {
    if (this.#turning || !this.#alive) return;
    this.#turning = true;
    try {
      do {
        this.#collect();
        if (this.#inputs.length === 0) break;
        const inputs = this.#inputs;
        this.#inputs = NO_INPUTS;
        this.#acking = null;
        const { state, effects } = step(this.#state, inputs);
        this.#recorder?.note(this.#state, inputs, effects, state);
        this.#state = state;
        this.#perform(this.#gate?.admit(effects, this.#link) ?? effects);
        if (this.#kept !== null) return;
        this.#link?.outbox.flush();
        this.#inbox.serve();
        this.#noteCongestion();
        this.#ledger.tell();
        this.#intake.allow(intake(this.#state), this.#state.flow.perSecond > 0);
        this.#decode(room(this.#state));
        this.#intake.takeControls();
        if (intake(this.#state) > 0) this.#intake.gather();
      } while (this.#inputs.length > 0 || this.#intake.pending > 0 || this.#inbox.dirty);
    } catch (error) {
      this.#defect(error);
    } finally {
      this.#turning = false;
    }
    this.#arm();
  }
  /** What gathered without being an input yet. */
  #collect() {
    this.#flushFacts(false);
    const inbox = this.#inbox;
    if (inbox.dirty) {
      const { packets, bytes, yieldedThrough, handledThrough: handledThrough2 } = inbox;
      const at = this.#now();
      const pulled = { type: "pulled", at, packets, bytes, yieldedThrough, handledThrough: handledThrough2 };
      this.#inputs = [pulled, ...this.#inputs];
      inbox.reported();
    }
  }
  /** An invariant does not hold: nothing that follows could be trusted. */
  #defect(error) {
    const bug = new BugError(
      `The loop met ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error
      }
    );
    this.#end({ reason: bug });
  }
  #arm() {
    if (!this.#alive) return;
    const due = deadline(this.#state);
    if (this.#timer !== null && this.#timerAt <= due) return;
    if (this.#timer !== null) this.#platform.clearTimer(this.#timer);
    this.#timer = null;
    this.#timerAt = due;
    if (due === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#platform.setTimer(this.#tick, Math.max(0, Math.ceil(due - this.#now())));
  }
  #tick = () => {
    this.#timer = null;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const at = this.#now();
    if (at >= deadline(this.#state)) this.#run({ type: "tick", at });
    else this.#arm();
  };
  // ------------------------------------------------------------------------------------------------------------- effects
  #perform(effects) {
    for (let i = 0; i < effects.length; i++) {
      if (this.#establishing !== null && this.#state.connection.kind === "connected") {
        return this.#keep(effects.slice(i));
      }
      this.#performOne(effects[i]);
    }
  }
  /** After the end: what is safe is told, and nothing else is done. */
  #settleLate(effects) {
    for (const effect of effects) if (effect.type === "settle") this.#ledger.settle(effect);
    this.#ledger.tell();
  }
  /** What waited for a commit. */
  #release(effects, link) {
    if (!this.#alive) return this.#settleLate(effects);
    const gone2 = link === null || link !== this.#link;
    this.#turning = true;
    try {
      for (const effect of effects) {
        const over = gone2 || this.#inbox.withholds;
        if (effect.type === "yield" && this.#left) this.#inbox.drop(effect);
        else if (effect.type === "yield" && effect.sequence > 0 && over) this.#yield(effect, true);
        else if (!isSent(effect) || !(gone2 || link.closing)) this.#performOne(effect);
      }
    } finally {
      this.#turning = false;
    }
    if (this.#link?.outbox.flush()) this.#add({ type: "released", at: this.#now() });
    this.#inbox.serve();
    this.#ledger.tell();
    this.#turn();
  }
  #performOne(effect) {
    const link = this.#link;
    switch (effect.type) {
      case "yield":
        return this.#yield(effect);
      case "settle":
        return this.#ledger.settle(effect);
      case "publish": {
        const { handle: handle2, messageId, dup, expirySeconds, qos } = effect;
        const slot = qos > 0 ? this.#ledger.get(handle2) : this.#ledger.handOver(handle2);
        if (slot?.kind === "group") return link?.outbox.group(slot.encoded, slot.requests.length);
        if (slot?.kind !== "publish") throw new BugError("a handle is of another kind");
        link?.outbox.encoder.publish(slot, messageId, dup, expirySeconds);
        if (qos === 0) link?.outbox.countPublishes(1);
        return;
      }
      case "takeApart": {
        const { handle: handle2 } = effect;
        const requests = this.#ledger.takeApart(handle2, this.#state.connection.protocolVersion);
        this.#add({ type: "apart", at: this.#now(), handle: handle2, requests });
        return;
      }
      case "acknowledge":
        return link?.outbox.encoder.ack(effect.cmd, effect.messageId, effect.reasonCode);
      case "confirm":
        return this.#ledger.confirm(effect.count, effect.failure);
      case "subscribe":
      case "unsubscribe": {
        const packet = subscriptionPacket(effect, this.#ledger);
        if (effect.facts.handle === 0) {
          this.#renewals ??= /* @__PURE__ */ new Map();
          this.#renewals.set(effect.messageId, packet);
        }
        return link?.outbox.encoder.packet(packet);
      }
      case "dial":
        this.#dialer ??= new Dialer(this.#resolved.options, this.#ears);
        return this.#dialer.dial();
      case "connect": {
        const { session: session2 } = this.#state;
        return link?.outbox.encoder.packet(
          connectPacket(
            this.#resolved,
            session2.clientId,
            effect.protocolVersion,
            effect.cleanStart
          )
        );
      }
      case "pingreq":
        link?.outbox.countPing();
        return link?.outbox.encoder.packet({ cmd: "pingreq" });
      case "disconnect":
        return link?.outbox.encoder.packet(disconnectPacket(effect));
      case "close":
        return link?.close(effect.patient);
      case "destroy":
        return link === null ? this.#dialer?.cancel() : link.destroy();
      case "pauseReading":
        return link?.pause();
      case "resumeReading":
        return link?.resume();
      case "withhold":
        return this.#inbox.withhold();
      case "unwithhold":
        return this.#inbox.unwithhold(effect.drop, effect.before);
      case "births":
        return this.#births(effect.packet);
      case "pong":
        return this.#ponged();
      case "warn":
        return this.#warn(effect.code, effect.message);
      case "finished":
        return this.#end(
          effect.failure === null ? null : { reason: this.#causes.errorOf(effect.failure) }
        );
      default:
        return unreachable(effect);
    }
  }
  #failPings(reason) {
    const pings = this.#pings;
    this.#pings = NO_PINGS;
    for (const ping2 of pings) ping2.settle(reason());
  }
  #ponged() {
    if (this.#pings.length === 0) return;
    for (const ping2 of this.#pings) ping2.unanswered--;
    const answered = this.#pings.filter(({ unanswered }) => unanswered <= 0);
    this.#pings = this.#pings.filter(({ unanswered }) => unanswered > 0);
    for (const ping2 of answered) ping2.settle(null);
  }
  #yield(effect, late = false) {
    const packet = effect.packet;
    if (effect.handle > 0) {
      const { request: request2 } = this.#ledger.get(effect.handle);
      packet.request = request2;
    } else if (effect.deliveryId > 0) {
      const message = packet;
      message.deliveryId = effect.deliveryId;
      if (effect.redelivered) message.redelivered = true;
    } else if (packet.cmd === "suback") {
      const renewal2 = this.#renewals?.get(packet.messageId ?? 0);
      if (renewal2 !== void 0) packet.request = renewal2;
    }
    if (late) this.#inbox.offerLate(effect);
    else this.#inbox.offer(effect);
  }
  #births(connack) {
    const facts = [];
    const at = this.#now();
    try {
      const births = this.#resolved.options.onConnected?.(connack) ?? [];
      for (const birth of births) {
        const taken = this.#ledger.accept(
          birth,
          null,
          this.#state.connection.protocolVersion,
          { now: () => at },
          false
        );
        if (taken === null || taken === JOINED) continue;
        if (isControl(taken)) this.#control(taken);
        else facts.push(taken);
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#add({ type: "births", at, requests: facts });
  }
  #warn(code, message) {
    try {
      this.#resolved.options.onWarning?.({ code, message });
    } catch (error) {
      this.#fail(error);
    }
  }
  // ----------------------------------------------------------------------------------------------------------- transport
  #opened(duplex) {
    this.#dialer = null;
    const { connection, config } = this.#state;
    if (!this.#alive || connection.kind !== "connecting") {
      duplex.destroy();
      return this.#lost(null, false);
    }
    const { protocolVersion } = connection;
    this.#link = new Link(duplex, protocolVersion, config.maximumPacketSize, this.#ears);
    this.#run({ type: "opened", at: this.#now() });
  }
  /** Decodes what is there, as far as the consumer's buffer has room. */
  #decode(max) {
    const link = this.#link;
    if (link === null || !link.hasMore || max <= 0) return;
    const packets = [];
    const at = this.#now();
    try {
      link.read(packets, max);
      this.#add({ type: "received", at, packets });
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const { reasonCode, clause, message } = error;
      this.#add({ type: "received", at, packets });
      this.#add({ type: "malformed", at, reasonCode, clause, message });
    }
  }
  #reportWritten() {
    const outbox = this.#link?.outbox;
    const report2 = outbox?.report;
    if (outbox === void 0 || report2 === void 0 || report2 === null) return;
    outbox.report = null;
    const { publishes, ping: ping2 } = report2;
    const more = outbox.pendingBytes > 0;
    this.#add({ type: "written", at: this.#now(), publishes, ping: ping2, more });
    this.#noteCongestion();
  }
  #noteCongestion() {
    const { congested } = this.#state.flow;
    const pending = this.#link?.outbox.pendingBytes ?? 0;
    const now = pending > (congested ? CONGESTED_BYTES / 2 : CONGESTED_BYTES);
    if (now !== congested && this.#link !== null) {
      this.#add({ type: "congestion", at: this.#now(), congested: now });
    }
  }
  /** The transport is gone, or could not be opened. */
  #lost(error, byPeer) {
    const { kind } = this.#state.connection;
    const where = whereOf(this.#resolved.options);
    const at = this.#now();
    const waiting = this.#inputs;
    this.#inputs = NO_INPUTS;
    if (this.#link?.hasMore) this.#add({ type: "unwritable", at });
    this.#decode(Number.MAX_SAFE_INTEGER);
    this.#link = null;
    this.#renewals = null;
    const dialling = kind === "connecting" && !this.#state.connection.opened;
    const base = dialling ? dialFailure(error, where) : lossFailure(error, kind === "connecting" ? "handshake" : "connected", where);
    const failure2 = error === null ? base : { ...base, cause: this.#causes.keepRecent(error) };
    this.#failPings(() => this.#causes.errorOf(failure2));
    const retryable = this.#judge(failure2);
    const random = this.#platform.random();
    this.#add({ type: "lost", at, random, failure: failure2, byPeer, retryable });
    this.#inputs.push(...waiting);
    this.#turn();
  }
  /** The user's word on a failure; null: none. */
  #judge(failure2) {
    if (!this.#retryable) return null;
    const { verdict, reason } = this.#state.connection;
    const { cause: cause2, packet, clause, ...told } = verdict !== null && reason !== null ? reason : failure2;
    try {
      return this.#retryable(told);
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }
  // -------------------------------------------------------------------------------------------------------------- the end
  /** Everything stops: no timer, socket, listener or promise is left. (N4) */
  #end(error) {
    if (!this.#alive) return;
    this.#alive = false;
    this.#holdTaken();
    if (this.#onAbort !== null) {
      this.#resolved.options.signal?.removeEventListener("abort", this.#onAbort);
    }
    if (this.#timer !== null) this.#platform.clearTimer(this.#timer);
    this.#timer = null;
    this.#failPings(closedError3);
    this.#dialer?.stop();
    this.#link?.handTo(null);
    this.#link?.destroy();
    this.#link = null;
    this.#ledger.close();
    if (!this.#left) this.#intake.release(error === null && this.state.counters.held === 0);
    this.#inbox.serve();
    if (error !== null && !this.#resolved.options.signal?.aborted) this.#tellRecording();
    const gate = this.#gate;
    if (gate === null) return this.#finish(error);
    this.#closing = true;
    const finish2 = () => this.#finish(error);
    gate.close().then(finish2, finish2);
  }
  /** What was taken and has not become part of the state is held. */
  #holdTaken() {
    this.#flushFacts(true);
    const taken = this.#inputs.flatMap(
      (input) => input.type === "requests" ? [{ ...input, hold: true }] : []
    );
    this.#inputs = NO_INPUTS;
    if (taken.length > 0) this.#state = step(this.#state, taken).state;
  }
  /** What the recorder's listener throws concerns nobody: the loop ends with an error already. */
  #tellRecording() {
    try {
      this.#recorder?.fault();
    } catch {
    }
  }
  #finish(error) {
    this.#closing = false;
    const establishing = this.#establishing;
    if (establishing !== null) {
      this.#establishing = null;
      establishing(error ?? { reason: closedError3() });
    } else if (!this.#inbox.end(error)) {
      this.#error = error;
    }
    for (const resolve of this.#awaiting ?? []) resolve();
    this.#awaiting = null;
  }
  async #over() {
    if (!this.#alive && !this.#closing) return;
    await new Promise((resolve) => {
      this.#awaiting ??= [];
      this.#awaiting.push(resolve);
    });
  }
  // ------------------------------------------------------------------------------------------------------------- the ears
  /** What its parts tell the loop. A class within the class reaches what is private, and costs one object, not a closure each. */
  static #Ears = class {
    #loop;
    constructor(loop) {
      this.#loop = loop;
    }
    now() {
      return this.#loop.#now();
    }
    version() {
      return this.#loop.#state.connection.protocolVersion;
    }
    gathered() {
      this.#loop.#schedule();
    }
    control(control) {
      this.#loop.#flushFacts(false);
      this.#loop.#control(control);
    }
    ended(error) {
      this.#loop.#requestsEnded(error);
    }
    fail(error) {
      this.#loop.#fail(error);
    }
    cancelled(handle2, reason) {
      const loop = this.#loop;
      loop.#push({ type: "cancel", at: loop.#now(), handle: handle2, cause: loop.#causes.keep(reason) });
    }
    refused() {
      this.#loop.#push({ type: "refused", at: this.#loop.#now(), count: 1 });
    }
    fatal(error) {
      this.#loop.#fail(error);
    }
    opened(duplex) {
      this.#loop.#opened(duplex);
    }
    failed(error) {
      this.#loop.#lost(error, false);
    }
    readable() {
      this.#loop.#decode(room(this.#loop.#state));
      this.#loop.#turn();
    }
    written() {
      this.#loop.#reportWritten();
      this.#loop.#schedule();
    }
    closed(error, byPeer) {
      this.#loop.#lost(error, byPeer);
    }
    /** What leaves afterwards is what was committed before: as good as final. */
    session() {
      const loop = this.#loop;
      return loop.#ledger.session(loop.#state.session, true, loop.#wallOffsetMs());
    }
    foresee(effects) {
      this.#loop.#ledger.foresee(effects);
    }
    settleLate(effects) {
      this.#loop.#settleLate(effects);
    }
    release(effects, link) {
      this.#loop.#release(effects, link);
    }
  };
};
function isSent({ type }) {
  return type === "publish" || type === "acknowledge";
}
function closedError3() {
  return new ConnectionError("The loop has ended.", { code: "CLOSED", retryable: false });
}

// src/connect.ts
var Connected = class {
  connack;
  /** @internal A saved session or a store was given. */
  hasSession;
  #policy;
  #loop;
  /** @internal */
  constructor(loop, connack, policy, hasSession2) {
    this.#loop = loop;
    this.#policy = policy;
    this.connack = connack;
    this.hasSession = hasSession2;
  }
  /** @internal The loop behind it goes on with these streams: once. */
  claim(requests, controls) {
    const loop = this.#loop;
    if (loop === null) {
      throw new UsageError(
        "options: this connection was given to a loop already, or disposed of; connect again"
      );
    }
    this.#loop = null;
    loop.adopt(requests, controls, this.#policy);
    return loop;
  }
  /** Says goodbye and closes, where no loop took it. */
  async [Symbol.asyncDispose]() {
    const loop = this.#loop;
    this.#loop = null;
    await loop?.return();
  }
};

// src/eventloop.ts
function eventloop(options2, requests, controls) {
  return openLoop(options2, requests, controls);
}
function openLoop(options2, requests, controls, observer) {
  const resolved = options2 instanceof Connected ? null : resolveOptions(options2);
  const goesOn = resolved === null ? options2.hasSession : hasSession(resolved);
  const source = requests === void 0 ? null : Source.of(requests, goesOn);
  const steering = controls === void 0 ? null : Source.of(controls, goesOn);
  const loop = resolved === null ? options2.claim(source, steering) : new Loop(resolved, source, steering);
  if (observer !== void 0) loop.observe(observer);
  return loop;
}

// bench/disk/driver.ts
var [mode = "", port = "", amount = "", ...rest] = process.argv.slice(2);
var count = Number(amount);
var payload = Buffer.alloc(64, 65);
var BURST = 500;
var PRODUCERS = 4;
var PASSING = 2e5;
var request = () => ({
  cmd: "publish",
  topic: "sensors/room/1/temp",
  payload,
  qos: 1
});
var burst = (size = BURST) => Array.from({ length: size }, request);
var options = {
  url: `mqtt://127.0.0.1:${port}`,
  clientId: "bench",
  protocolVersion: 5,
  until: "closed"
};
function report(startedAt, cpu, messages, more = {}) {
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - startedAt) / 1e3;
  const figures = {
    mode,
    rate: Math.round(messages / seconds),
    cpuMicrosPerMessage: Number(((user + system) / messages).toFixed(2)),
    nsPerMessage: Math.round(seconds / messages * 1e9),
    rssMB: Math.round(process.memoryUsage().rss / 1e6),
    ...more
  };
  console.log(JSON.stringify(figures));
  process.exit(0);
}
var seen = 0;
var AHEAD = 2e3;
async function acknowledged2(loop, messages) {
  for await (const { cmd } of loop)
    if ((cmd === "puback" || cmd === "pubcomp") && ++seen === messages) return;
}
async function durable() {
  const queue = await spool(rest[0]);
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const producing = Array.from({ length: PRODUCERS }, async () => {
    for (let i = 0; i < count / PRODUCERS; i += BURST) await queue.push(burst());
  });
  let gone2 = () => {
  };
  const empty = new Promise((resolve) => {
    gone2 = resolve;
  });
  const settle2 = queue.settled.bind(queue);
  let removed = 0;
  queue.settled = async (...outcome) => {
    await settle2(...outcome);
    if (++removed === count) gone2();
  };
  const loop = eventloop(options, queue);
  await acknowledged2(loop, count);
  await Promise.all([empty, ...producing]);
  report(startedAt, cpu, count, { left: queue.size });
}
async function depth() {
  const queue = await spool(rest[0]);
  if (rest[1] === "fill") {
    while (queue.size < count) await Promise.all([1, 2, 3, 4].map(() => queue.push(burst(2500))));
    await queue.close();
    process.exit(0);
  }
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const producing = (async () => {
    for (let i = 0; i < PASSING; i += BURST) await queue.push(burst());
  })();
  await acknowledged2(eventloop(options, queue), PASSING);
  await producing;
  const done = [startedAt, cpu];
  report(...done, PASSING, { size: queue.size });
}
async function stream() {
  const queue = rest[0] === "spill" ? await spool(rest[1], { mode: "spill" }) : null;
  const plain2 = pushable({ objectMode: true });
  const push = queue === null ? (one) => plain2.push(one) : (one) => queue.push(one);
  const loop = eventloop(options, queue ?? plain2);
  await loop.next();
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const producing = (async () => {
    for (let i = 0; i < count; i++) {
      push(request());
      while (i % 100 === 99 && i - seen > AHEAD)
        await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await acknowledged2(loop, count);
  await producing;
  report(startedAt, cpu, count);
}
async function session() {
  const qos = Number(rest[1] ?? 1);
  const store = await openSession(rest[0]);
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  function* requests() {
    for (let i = 0; i < count; i += BURST)
      yield burst().map((one) => ({ ...one, qos }));
  }
  await acknowledged2(
    eventloop({ ...options, cleanStart: false, session: store }, requests()),
    count
  );
  report(startedAt, cpu, count);
}
var modes = { durable, depth, stream, session };
await modes[mode]?.();
