/**
 * What must become of calls? Each beginning of a handler and each result is compared with what was
 * called.
 */
import type { Life } from './bus-process.ts'
import type { RpcName } from './bus-scenario.ts'

type Report = (id: string, what: string) => void

export interface Called {
  readonly n: number
  readonly rpc: RpcName
  readonly life: Life
  readonly startedAt: number
  readonly timeout: number
  readonly slowMs: number
  /** How often its request came to the broker. */
  arrivals: number
  /** What names its attempts. */
  readonly attempts: Set<string>
  /** Whether nobody had subscribed when it came. */
  isForNobody: boolean
  isSettled: boolean
  /** `ok`, or the code of its error. */
  outcome: string
}

/** Values of these do not fit somewhere. */
const UNFIT: readonly RpcName[] = ['unfit', 'strict', 'wrong', 'odd']

interface Execution {
  readonly life: Life
  readonly deadline: number
  readonly beganAt: number
}

export class CallLedger {
  readonly all: Called[] = []
  readonly #now: () => number
  readonly #problem: Report
  readonly #executions = new Map<number, Execution[]>()
  /** The ids of failures that responders were told. */
  readonly #failures = new Set<string>()

  constructor(now: () => number, problem: Report) {
    this.#now = now
    this.#problem = problem
  }

  begin(life: Life, rpc: RpcName, slowMs: number, timeout: number): Called {
    const called: Called = {
      ...{ n: this.all.length + 1, rpc, life, startedAt: this.#now(), timeout, slowMs },
      ...{ arrivals: 0, attempts: new Set(), isForNobody: false, isSettled: false, outcome: '' },
    }
    this.all.push(called)
    return called
  }

  arrived(n: number, correlation: string, isForNobody: boolean): void {
    const called = this.all[n - 1]
    if (called === undefined) return this.#problem('B1', `an unknown call ${n}`)
    if (called.rpc === 'unfit') this.#problem('B2', `call ${n} with an unfit input is sent`)
    called.arrivals++
    called.attempts.add(correlation)
    // The same attempt may come twice, if its acknowledgement is lost.
    if (called.attempts.size > 1 && called.rpc !== 'again') {
      this.#problem('B1', `call ${n} of ${called.rpc} is sent again`)
    }
    called.isForNobody ||= isForNobody
  }

  /** A handler begins. (B1) */
  executes(n: number, rpc: string, life: Life, deadline: number): void {
    const called = this.all[n - 1]
    if (called === undefined || called.rpc !== rpc) {
      return this.#problem('B1', `${life.name} executes an unknown call ${n} of ${rpc}`)
    }
    if (rpc === 'strict') this.#problem('B2', `${life.name} executes ${n}, whose input is unfit`)
    if (life.isEnding) this.#problem('B18', `${life.name} executes ${n} after close()`)
    const before = this.#executions.get(n) ?? []
    this.#executions.set(n, [...before, { life, deadline, beganAt: this.#now() }])
    for (const one of before) {
      const what = `call ${n} is executed by ${life.name} and was by ${one.life.name}`
      if (one.life === life && this.#now() < one.deadline) this.#problem('B1', `${what}, twice`)
      if (one.life === life || rpc === 'again') continue
      // The broker gives the request to another one when the first is lost to it; and gives it
      // twice if it had it twice.
      const isLost = one.life.isOver || one.life.isEnding || one.life.disturbedAt > one.beganAt
      if (!isLost && called.arrivals < 2) this.#problem('B1', `${what}, which was there`)
    }
  }

  failed(id: string): void {
    this.#failures.add(id)
  }

  /** @returns calls that should have a result by now. (B1) */
  overdue(slackMs: number): readonly Called[] {
    const now = this.#now()
    return this.all.filter(
      ({ isSettled, life, startedAt, timeout }) =>
        !isSettled && !life.isDead && now > startedAt + timeout + slackMs,
    )
  }

  resolved(called: Called, value: unknown): void {
    const { n, rpc } = called
    called.outcome = 'ok'
    const isRight = rpc === 'plain' || rpc === 'again' ? value === n : false
    const id = UNFIT.includes(rpc) ? 'B2' : rpc === 'major' ? 'B5' : 'B1'
    if (!isRight) this.#problem(id, `call ${n} of ${rpc} resolves with ${JSON.stringify(value)}`)
  }

  /** A call was rejected. (B2, B3, B4) */
  rejected(called: Called, error: unknown): void {
    const { n, rpc, life, startedAt, timeout, isForNobody } = called
    const {
      code = '',
      message = '',
      remote,
    } = Object(error) as {
      code?: string
      message?: string
      remote?: { code: string; data?: unknown; message: string }
    }
    called.outcome = code
    const what = `call ${n} of ${rpc} is rejected with ${code} (${message})`
    switch (code) {
      case 'TIMEOUT':
        if (this.#now() < startedAt + timeout) this.#problem('B1', `${what} too early`)
        return
      case 'RESPONDER_TIMEOUT':
      case 'BUSY':
        return
      case 'ENDED':
        if (!life.isEnding && !life.isOver) this.#problem('B1', what)
        return
      case 'NO_RESPONDERS':
        if (!isForNobody) this.#problem('B4', `${what}, and somebody was there`)
        return
      case 'UNKNOWN':
        if (rpc !== 'later') this.#problem(rpc === 'major' ? 'B5' : 'B4', what)
        return
      case 'LOCKED':
        if (rpc !== 'refuse' || (remote?.data as { n?: unknown } | undefined)?.n !== n) {
          this.#problem('B3', `${what} and ${JSON.stringify(remote)}`)
        }
        return
      case 'INVALID_INPUT':
        if (rpc !== 'unfit') this.#problem('B2', what)
        return
      case 'BAD_REQUEST':
        if (rpc !== 'strict') this.#problem('B2', what)
        return
      case 'INVALID_RESPONSE':
        if (rpc !== 'odd') this.#problem('B2', what)
        return
      case 'RESPONDER_FAILED': {
        if (rpc !== 'fail' && rpc !== 'wrong') return this.#problem('B3', what)
        if (/secret/.test(`${message} ${JSON.stringify(remote)}`)) {
          this.#problem('B3', `${what}, which has the text of the handler`)
        }
        const id = /[(]([\da-f]+)[)]/.exec(remote?.message ?? '')?.[1] ?? ''
        if (!this.#failures.has(id)) {
          this.#problem('B3', `${what}, of which no responder was told "${id}"`)
        }
        return
      }
      default:
        this.#problem('B1', what)
    }
  }
}
