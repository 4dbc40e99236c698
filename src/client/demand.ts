/**
 * Who needs the connection to be read now? A pure reducer: while somebody does, exactly one
 * `next()` of the loop is outstanding, and without anybody none is called. (M1, awaiting is
 * driving)
 */

/** Who needs the connection, and what the reader is doing. */
export interface Demand {
  /** Promises that are not settled: publishes, `ready`, `ping`, pulls, and so on. */
  readonly calls: number
  /** Running `run()` and `done`, which need the connection for as long as they run. */
  readonly lasting: number
  /** Subscriptions that are full and may hold back `run()` (`overflow: { then: 'wait' }`). */
  readonly full: number
  /** Messages that are not acknowledged, whatever subscription they belong to. */
  readonly unhandled: number
  /** Whether a `next()` of the loop is outstanding. */
  readonly asked: boolean
  /** Whether the loop has ended. */
  readonly over: boolean
}

/** What changes the demand. */
export type DemandEvent =
  | { readonly type: 'calls' | 'lasting' | 'full' | 'unhandled'; readonly by: number }
  | { readonly type: 'asked' | 'answered' | 'over' }

export const NO_DEMAND: Demand = {
  calls: 0,
  lasting: 0,
  full: 0,
  unhandled: 0,
  asked: false,
  over: false,
}

/** @returns the demand after an event. */
export function demandAfter(demand: Demand, event: DemandEvent): Demand {
  switch (event.type) {
    case 'calls':
      return { ...demand, calls: demand.calls + event.by }
    case 'lasting':
      return { ...demand, lasting: demand.lasting + event.by }
    case 'full':
      return { ...demand, full: demand.full + event.by }
    case 'unhandled':
      return { ...demand, unhandled: demand.unhandled + event.by }
    case 'asked':
      return { ...demand, asked: true }
    case 'answered':
      return { ...demand, asked: false }
    case 'over':
      return { ...demand, asked: false, over: true }
  }
}

/** @returns whether anybody needs the connection to be read. */
export function isWanted({ calls, lasting, full, over }: Demand): boolean {
  return !over && (calls > 0 || (lasting > 0 && full === 0))
}

/**
 * @param unhandledMax how many messages may be unacknowledged: a bound of memory for servers that
 *   know no Receive Maximum.
 * @returns whether the next packet is to be asked for now.
 */
export function asks(demand: Demand, unhandledMax: number): boolean {
  return isWanted(demand) && !demand.asked && demand.unhandled < unhandledMax
}
