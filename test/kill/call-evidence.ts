/**
 * What became of calls while the processes that serve them were killed? Callers say what they called
 * and what they were told; services have journals of what they executed, which outlive them. Each
 * call was answered, or its caller was told why not, or its caller was killed. (B1, B4)
 *
 * All times are those of `machineMs()`.
 */

/** @returns the time in ms on a clock that all processes of the machine share. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}

/** How long a caller waits for an answer. */
export const CALL_MS = 3000
/** How much later it may be told so on a machine that is slow. */
const LATE_MS_MAX = 9000
/** An answer takes at most so long, if the process that executes the call lives. */
const ANSWER_MS_MAX = 2000
/** Clocks of processes may differ in their fractions of a millisecond, and timers as well. */
const CLOCK_MS = 5

/** Codes of errors that tell a caller the truth here, and whether the call may be executed. */
const MAY_BE_EXECUTED: Readonly<Record<string, boolean>> = {
  ...{ NO_RESPONDERS: false, BUSY: false, TIMEOUT: true, RESPONDER_TIMEOUT: true },
}

export type CalledRpc = 'once' | 'again'

export interface CallFigures {
  calls: number
  /** Calls that were answered with the right value. */
  answered: number
  /** Calls whose callers were told why there is no answer, by code. */
  readonly told: Record<string, number>
  /** Calls whose callers were killed before they had a result. */
  callerKilled: number
  /** Calls that a service has executed. */
  executed: number
  /** Of those, the ones whose callers were told of no answer: their service was killed. */
  executedAndTold: number
  /** Of those, the ones whose callers were killed. */
  executedForNobody: number
  /** Calls that two processes have executed, the first of which was killed. */
  executedTwice: number
}

interface ServiceLife {
  readonly name: string
  readyAt: number
  killedAt: number
}

interface Execution {
  readonly life: ServiceLife
  readonly at: number
}

interface Call {
  readonly id: string
  readonly rpc: CalledRpc
  readonly calledAt: number
  settledAt: number
  /** `ok`, the code of an error, `killed`, or the empty string as long as it is open. */
  result: string
  readonly executions: Execution[]
}

export class CallEvidence {
  readonly #calls = new Map<string, Call>()
  readonly #lives = new Map<string, ServiceLife>()
  readonly #open = new Set<string>()
  readonly #problems: string[] = []

  /** A process that serves has subscribed. */
  ready(life: string, at: number): void {
    this.#life(life).readyAt = at
  }

  /** A process that serves is killed next. */
  killed(life: string, at: number): void {
    this.#life(life).killedAt = at
  }

  called(id: string, rpc: CalledRpc, calledAt: number): void {
    const never = Number.POSITIVE_INFINITY
    this.#calls.set(id, { id, rpc, calledAt, settledAt: never, result: '', executions: [] })
    this.#open.add(id)
  }

  settled(id: string, result: string, at: number): void {
    const call = this.#calls.get(id)
    if (call === undefined || !this.#open.delete(id)) {
      this.#problems.push(`call ${id} has a result, ${result}, and is not open`)
      return
    }
    call.result = result
    call.settledAt = at
  }

  /** The process that made these calls was killed, and all that it had written has been read. */
  callerKilled(prefix: string, at: number): void {
    for (const id of this.#open) if (id.startsWith(prefix)) this.settled(id, 'killed', at)
  }

  /** The journal of a service says that a handler began. */
  executed(id: string, life: string, at: number): void {
    const call = this.#calls.get(id)
    if (call === undefined) this.#problems.push(`${life} executes ${id}, which nobody has called`)
    else call.executions.push({ life: this.#life(life), at })
  }

  get open(): number {
    return this.#open.size
  }

  #life(name: string): ServiceLife {
    const never = Number.POSITIVE_INFINITY
    const life = this.#lives.get(name) ?? { name, readyAt: never, killedAt: never }
    this.#lives.set(name, life)
    return life
  }

  figures(): CallFigures {
    const told: Record<string, number> = {}
    const count = (condition: (call: Call) => boolean) =>
      [...this.#calls.values()].filter(condition).length
    for (const { result } of this.#calls.values()) {
      if (isTold(result)) told[result] = (told[result] ?? 0) + 1
    }
    return {
      calls: this.#calls.size,
      answered: count(({ result }) => result === 'ok'),
      told,
      callerKilled: count(({ result }) => result === 'killed'),
      executed: count(({ executions }) => executions.length > 0),
      executedAndTold: count(({ executions, result }) => isTold(result) && executions.length > 0),
      executedForNobody: count(
        ({ executions, result }) => result === 'killed' && executions.length > 0,
      ),
      executedTwice: count(({ executions }) => executions.length > 1),
    }
  }

  /** @returns what is wrong, when all journals have been read. */
  problems(): readonly string[] {
    const all = [...this.#calls.values()]
    return [...this.#problems, ...all.flatMap((call) => [...this.#wrongIn(call)])]
  }

  *#wrongIn(call: Call): Generator<string> {
    const { id, rpc, calledAt, settledAt, result, executions } = call
    const what = `call ${id} of ${rpc} with the result ${result}`
    yield* wrongInExecutions(call)
    if (result === '') {
      yield `call ${id} of ${rpc} has no result`
      return
    }
    const tookMs = settledAt - calledAt
    if (tookMs > CALL_MS + LATE_MS_MAX) yield `${what} was open for ${tookMs.toFixed(0)} ms`
    if (result === 'killed') return
    if (result === 'ok') {
      if (executions.length === 0) yield `${what} was executed by nobody`
      return
    }
    const mayBeExecuted = MAY_BE_EXECUTED[result]
    if (mayBeExecuted === undefined) yield `${what}, which nothing here explains`
    if (mayBeExecuted === false && executions.length > 0) {
      yield `${what} was executed by ${executions[0]!.life.name}`
    }
    if (result === 'NO_RESPONDERS') yield* this.#wrongIfServed(call, what)
    if (result === 'TIMEOUT') yield* wrongInTimeout(call, what)
  }

  /** A caller is not told that nobody serves while somebody does. */
  *#wrongIfServed({ calledAt, settledAt }: Call, what: string): Generator<string> {
    for (const { name, readyAt, killedAt } of this.#lives.values()) {
      if (readyAt + CLOCK_MS > calledAt || killedAt < settledAt + CLOCK_MS) continue
      yield `${what} could have had an answer of ${name}`
      return
    }
  }
}

function isTold(result: string): boolean {
  return result !== '' && result !== 'ok' && result !== 'killed'
}

/** A process executes a call once, and another one only if the first is dead. */
function* wrongInExecutions({ id, rpc, executions }: Call): Generator<string> {
  const inOrder = [...executions].sort((a, b) => a.at - b.at)
  for (const [i, { life, at }] of inOrder.entries()) {
    for (const before of inOrder.slice(0, i)) {
      const what = `call ${id} of ${rpc} is executed by ${life.name}`
      if (before.life === life) yield `${what} twice`
      else if (before.life.killedAt > at + CLOCK_MS && rpc === 'once') {
        yield `${what} while ${before.life.name}, which has executed it, lives`
      }
    }
  }
}

/** A time-out is not early, and no service that lives has forgotten to answer. */
function* wrongInTimeout(call: Call, what: string): Generator<string> {
  const { calledAt, settledAt, executions } = call
  const tookMs = settledAt - calledAt
  if (tookMs < CALL_MS - CLOCK_MS) yield `${what} was told so after ${tookMs.toFixed(0)} ms`
  for (const { life, at } of executions) {
    if (at + ANSWER_MS_MAX > calledAt + CALL_MS || life.killedAt < settledAt) continue
    yield `${what} was executed by ${life.name}, which lives on and does not answer`
  }
}
