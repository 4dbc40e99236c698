/**
 * When is each message, or each connection, due? In the open model a schedule says it before
 * anything is sent, so that a server that stalls does not delay the clock by which it is measured
 * (coordinated omission). Pure: the time comes as an argument.
 */

/** Decides when the members of a series are due; they are numbered from 0. */
export interface Schedule {
  /** @returns how many members are due at this instant. */
  dueBy(now: number): number
  /** @returns when a member is due, in ms. */
  timeOf(index: number): number
}

/** @returns the schedule that begins at `startAt` and has a member every 1000 / `perSecond` ms. */
export function evenly(perSecond: number, startAt: number, count: number): Schedule {
  const everyMs = 1000 / perSecond
  return {
    dueBy: (now) => {
      if (now < startAt) return 0
      return Math.min(count, Math.floor((now - startAt) / everyMs) + 1)
    },
    timeOf: (index) => startAt + index * everyMs,
  }
}

/**
 * @returns how many of the first `total` members belong to one of `parties`, which take turns:
 *   member 0 belongs to party 0, member 1 to party 1.
 */
export function shareOf(total: number, party: number, parties: number): number {
  if (total === Number.POSITIVE_INFINITY) return total
  return total > party ? Math.floor((total - party - 1) / parties) + 1 : 0
}

/**
 * @returns for each subscriber the publishers whose topics it subscribes to. Every publisher has a
 *   subscriber and every subscriber a publisher, whichever of them are more.
 */
export function pairs(publishers: number, subscribers: number): number[][] {
  return Array.from({ length: subscribers }, (_, subscriber) => {
    if (subscribers >= publishers) return [subscriber % publishers]
    const own = shareOf(publishers, subscriber, subscribers)
    return Array.from({ length: own }, (_, turn) => subscriber + turn * subscribers)
  })
}
