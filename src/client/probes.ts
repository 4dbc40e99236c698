/**
 * Does a message of the client's own come back? Scratch topics below the response topic answer what
 * the server does not say.
 */
import { ConnectionError, type QoS } from '../index.ts'
import { endedUnder, timedOut } from './client-errors.ts'
import type { ProbeHost } from './probe-host.ts'

/** How long a message of the client's own may take, in ms. */
export const PROBE_MS = 5000
/**
 * How many times as long it may take while others arrive, which the server may have to send first:
 * 10,000 retained messages through a slow link.
 */
export const BEHIND_OTHERS = 12

/**
 * Calls `over` when the client was read for `ms` ms: nothing can come while nobody reads. No timer
 * runs then. If messages have come in this time, it begins again, until it has begun `times` times.
 * @returns a function that ends it.
 */
export function whileRead(core: ProbeHost, ms: number, over: () => void, times = 1): () => void {
  let left = ms
  let begun = 1
  let arrivals = core.reception.arrivals
  let since = 0
  let timer: unknown = null
  const stop = () => {
    if (timer === null) return
    core.clock.clearTimer(timer)
    timer = null
    left -= core.clock.now() - since
  }
  const look = () => {
    stop()
    if (!core.isWanted) return
    since = core.clock.now()
    timer = core.clock.setTimer(passed, Math.max(0, left))
  }
  const passed = () => {
    if (begun === times || core.reception.arrivals === arrivals) return over()
    begun++
    arrivals = core.reception.arrivals
    stop()
    left = ms
    look()
  }
  const unlisten = core.onWanted(look)
  look()
  return () => {
    stop()
    unlisten()
  }
}

/**
 * Subscribes to `filter`, publishes to `topic`, and resolves when the message has come.
 * @param times how many times 5 s it may take while other messages arrive.
 * @throws `TIMEOUT` if it has not come by then, and what ends the client.
 */
export async function comesBack(
  core: ProbeHost,
  filter: string,
  topic: string,
  qos: QoS,
  times = 1,
): Promise<void> {
  let arrived = () => {}
  let stop = () => {}
  const back = new Promise<void>((resolve, reject) => {
    arrived = resolve
    const unlisten = core.onEnd((error) => reject(error ?? endedUnder('subscribe', false, null)))
    const unwatch = whileRead(core, PROBE_MS, () => reject(timedOut('subscribe', PROBE_MS)), times)
    stop = () => {
      unlisten()
      unwatch()
    }
  })
  back.catch(() => {})
  const listener = core.listen(filter, qos, () => arrived())
  try {
    const sent = listener.granted.then(() => core.send({ cmd: 'publish', topic, payload: '', qos }))
    await Promise.all([sent, back])
  } finally {
    stop()
    listener.close()
  }
}

/**
 * Whether the server has shared subscriptions: in MQTT 3.1.1 one that has none grants `$share/…` as
 * a filter like any other, and never delivers. It is asked once for each connection.
 */
export class SharedProbe {
  readonly #core: ProbeHost
  #epoch = 0
  #answer: Promise<void> | null = null

  constructor(core: ProbeHost) {
    this.#core = core
  }

  /** @throws ConnectionError `SHARED_UNAVAILABLE`. */
  check(): Promise<void> {
    if (this.#answer === null || this.#epoch !== this.#core.epoch) {
      this.#epoch = this.#core.epoch
      this.#answer = this.#ask()
    }
    return this.#answer
  }

  async #ask(): Promise<void> {
    const scratch = this.#core.scratchTopic()
    try {
      await comesBack(this.#core, `$share/it-mqtt/${scratch}`, scratch, 1)
    } catch (cause) {
      const message =
        'subscribe: the server grants $share/… and delivers nothing through it; leave out `share`'
      throw new ConnectionError(message, { code: 'SHARED_UNAVAILABLE', retryable: false, cause })
    }
  }
}
