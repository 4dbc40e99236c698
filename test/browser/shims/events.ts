/** `getEventListeners` of Node, for a browser: it counts what is added and removed from now on. */
type Listener = EventListenerOrEventListenerObject

const listeners = new WeakMap<EventTarget, Map<string, Set<Listener>>>()

function of(target: EventTarget, type: string): Set<Listener> {
  const all = listeners.get(target) ?? new Map<string, Set<Listener>>()
  listeners.set(target, all)
  const some = all.get(type) ?? new Set()
  all.set(type, some)
  return some
}

const { addEventListener, removeEventListener } = EventTarget.prototype

EventTarget.prototype.addEventListener = function (type, listener, options) {
  if (listener !== null) {
    of(this, type).add(listener)
    const isOnce = typeof options === 'object' && options.once === true
    if (isOnce) {
      addEventListener.call(this, type, () => of(this, type).delete(listener), { once: true })
    }
  }
  addEventListener.call(this, type, listener, options)
}

EventTarget.prototype.removeEventListener = function (type, listener, options) {
  if (listener !== null) of(this, type).delete(listener)
  removeEventListener.call(this, type, listener, options)
}

/** @returns who listens. */
export function getEventListeners(target: EventTarget, type: string): readonly Listener[] {
  return [...of(target, type)]
}
