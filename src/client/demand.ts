/**
 * Who needs the connection to be read now? A pure reducer: while somebody does, exactly one
 * `next()` of the loop is outstanding, and without anybody none is called. (M1, without demand
 * nothing runs)
 */

/** Who needs the connection, and what the reader is doing. */
export interface Demand {
  /** Promises that are not settled: publishes, `ready`, `ping`, pulls, and so on. */
  readonly calls: number
  /** Running `run()` and `done`, which need the connection for as long as they run. */
  readonly lasting: number
  /** Subscriptions that are full and may hold back `run()` (`overflow: { then: 'wait' }`). */
  readonly full: number
  /** Whether so many messages are not acknowledged that no more are to be read. */
  readonly crowded: boolean
  /** Whether a `next()` of the loop is outstanding. */
  readonly asked: boolean
  /** Whether the loop has ended. */
  readonly over: boolean
}

/** What changes the demand: one of its numbers, or what the reader does. */
export type DemandChange =
  | 'calls'
  | 'lasting'
  | 'full'
  | 'crowded'
  | 'roomy'
  | 'asked'
  | 'answered'
  | 'over'

export const NO_DEMAND: Demand = demandOf(0, 0, 0, false, false, false)

/** Written out: to spread a demand costs more than all the rest of a message. */
function demandOf(
  calls: number,
  lasting: number,
  full: number,
  crowded: boolean,
  asked: boolean,
  over: boolean,
): Demand {
  return { calls, lasting, full, crowded, asked, over }
}

/** @param by how much a number changes. @returns the demand after a change. */
export function demandAfter(demand: Demand, change: DemandChange, by: number): Demand {
  const { calls, lasting, full, crowded, asked, over } = demand
  switch (change) {
    case 'calls':
      return demandOf(calls + by, lasting, full, crowded, asked, over)
    case 'lasting':
      return demandOf(calls, lasting + by, full, crowded, asked, over)
    case 'full':
      return demandOf(calls, lasting, full + by, crowded, asked, over)
    case 'crowded':
      return demandOf(calls, lasting, full, true, asked, over)
    case 'roomy':
      return demandOf(calls, lasting, full, false, asked, over)
    case 'asked':
      return demandOf(calls, lasting, full, crowded, true, over)
    case 'answered':
      return demandOf(calls, lasting, full, crowded, false, over)
    case 'over':
      return demandOf(calls, lasting, full, crowded, false, true)
  }
}

/** @returns whether anybody needs the connection to be read. */
export function isWanted({ calls, lasting, full, over }: Demand): boolean {
  return !over && (calls > 0 || (lasting > 0 && full === 0))
}

/** @returns whether the next packet is to be asked for now. */
export function mayAsk(demand: Demand): boolean {
  return isWanted(demand) && !demand.asked && !demand.crowded
}
