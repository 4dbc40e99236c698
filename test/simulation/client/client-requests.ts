/**
 * What must become of the requests that the asker sends and the answerer answers? Each packet of
 * theirs that the broker sees is compared with what was asked and what was executed.
 */
import type { PacketRecord, TestBroker } from '../../../src/testing/index.ts'
import type { ClientProcess } from './client-process.ts'
import type { Asking, Setup } from './client-scenario.ts'

/** A request of the asker. */
export interface Operation {
  readonly id: number
  readonly asking: Asking
  readonly process: ClientProcess
  readonly key: string
  /** The operation whose payload it has: itself, or one before it with the same key. */
  readonly base: Operation | null
  readonly startedAt: number
  /** Whether other operations have its key and another payload. */
  isKeyShared: boolean
  settledAt: number
  /** Whether nobody had subscribed when it came to the broker. */
  isForNobody: boolean
  arrivals: number
  /** The last arrival at the broker. */
  lastDup: boolean
}

/** An operation that a handler began to execute. */
interface Execution {
  readonly operation: Operation
  readonly process: ClientProcess
  readonly deadline: number
  isOver: boolean
}

/** An attempt, by its correlation. */
interface Attempt {
  readonly operation: Operation
  answers: number
  settledAnswers: number
  /** When the answerer gives it up, at the latest. */
  expiresAt: number
}

type Report = (id: string, what: string) => void
type Publish = Extract<PacketRecord['packet'], { cmd: 'publish' }>

/** What a request or a response says, in whichever wire. */
interface Wire {
  readonly correlation: string
  readonly replyTo: string | undefined
  readonly expiresMs: number | undefined
  readonly operation: number
  readonly text: string
  readonly status: number
}

export class Operations {
  readonly all: Operation[] = []
  readonly #setup: Setup
  readonly #broker: TestBroker
  readonly #now: () => number
  readonly #problem: Report
  readonly #attempts = new Map<string, Attempt>()
  readonly #executions: Execution[] = []
  /** Attempts by the identifiers under which the broker sent them to the answerer. */
  readonly #delivered = new Map<string, Attempt>()
  /** Answers by the identifiers that they have in the session of the answerer. */
  readonly #answering = new Map<number, Attempt>()

  constructor(setup: Setup, broker: TestBroker, now: () => number, problem: Report) {
    this.#setup = setup
    this.#broker = broker
    this.#now = now
    this.#problem = problem
  }

  begin(asking: Asking, process: ClientProcess): Operation {
    const before = asking.keyOf === 0 ? undefined : this.all.at(-1)
    const base = asking.keyOf === 1 ? (before?.base ?? before ?? null) : null
    const id = this.all.length + 1
    const { timeout } = asking
    const operation: Operation = {
      id,
      // A repetition is the same to the responder.
      asking: { ...asking, ...(base?.asking ?? { to: (before?.asking ?? asking).to }), timeout },
      process,
      key: before?.key ?? `key ${id}`,
      base,
      startedAt: this.#now(),
      ...{ isKeyShared: false, settledAt: Number.POSITIVE_INFINITY },
      ...{ isForNobody: false, arrivals: 0, lastDup: false },
    }
    this.all.push(operation)
    const others = this.all.filter(({ key }) => key === operation.key)
    if (asking.keyOf === 2) for (const one of others) one.isKeyShared = true
    if (before?.isKeyShared) operation.isKeyShared = true
    return operation
  }

  // -------------------------------------------------------------------------- what is asked (Q1…)

  /** A request of the asker came to the broker. */
  arrived({ packet }: PacketRecord): void {
    const publish = packet as Publish
    const wire = readWire(publish, this.#setup.protocolVersion)
    const operation = this.all[wire.operation - 1]
    if (operation === undefined)
      return this.#problem('Q1', `an unknown request to ${publish.topic}`)
    const { subscriptions = {} } = this.#broker.sessions.get('asker') ?? {}
    if (wire.replyTo === undefined || subscriptions[wire.replyTo] === undefined) {
      this.#problem('Q1', `request ${operation.id} comes before ${wire.replyTo} is granted`)
    }
    const known = this.#attempts.get(wire.correlation)
    if (known !== undefined && known.operation !== operation) {
      this.#problem('Q2', `requests ${known.operation.id} and ${operation.id} have one correlation`)
    }
    if (known === undefined) {
      const expiresAt = Number.POSITIVE_INFINITY
      const attempt = { operation, answers: 0, settledAnswers: 0, expiresAt }
      this.#attempts.set(wire.correlation, attempt)
      if (operation.arrivals > 0 && operation.asking.retry !== 'lost') {
        this.#problem('Q4', `request ${operation.id} has a second attempt`)
      }
    }
    this.#checkLane(operation, publish.dup === true)
    operation.arrivals++
    const answerer = this.#broker.sessions.get('answerer')?.subscriptions ?? {}
    if (answerer[`${operation.asking.to}/+`] === undefined) operation.isForNobody = true
  }

  /** In a lane a request leaves when those before it are settled, and keeps the order. */
  #checkLane(operation: Operation, dup: boolean): void {
    const { asking, process, id } = operation
    if (asking.form !== 'lane' || dup || operation.arrivals > 0) return
    for (const other of this.laneOf(operation)) {
      if (other.id < id && other.settledAt === Number.POSITIVE_INFINITY && !process.isDead) {
        this.#problem('Q12', `${id} is open in its lane while ${other.id} is not settled`)
      }
      if (other.id > id && other.arrivals > 0) {
        this.#problem('Q12', `${id} leaves after ${other.id}, which was called later`)
      }
    }
  }

  laneOf({ asking, process }: Operation): readonly Operation[] {
    return this.all.filter(
      (one) =>
        one.process === process && one.asking.form === 'lane' && one.asking.lane === asking.lane,
    )
  }

  // ----------------------------------------------------------------------- what is executed (Q6…)

  /** The broker sends a request to the answerer. */
  delivered({ packet, connection, at }: PacketRecord): void {
    const publish = packet as Publish
    const wire = readWire(publish, this.#setup.protocolVersion)
    const attempt = this.#attempts.get(wire.correlation)
    if (attempt === undefined) return
    // An envelope that comes again counts its time from then on, though nobody waits any more.
    attempt.expiresAt = Math.min(attempt.expiresAt, at + (wire.expiresMs ?? 0))
    if (publish.qos) this.#delivered.set(`${connection} ${publish.messageId}`, attempt)
  }

  /** A handler begins. @returns how to say that it is over. */
  executes(id: number, deadline: number, process: ClientProcess): () => void {
    const now = this.#now()
    const operation = this.all[id - 1]
    if (operation === undefined) {
      this.#problem('Q6', `an unknown request ${id} is executed`)
      return () => {}
    }
    const mine = this.#executions.filter((one) => one.process === process)
    const before = mine.filter((one) => one.operation.key === operation.key).at(-1)
    if (before !== undefined && now < before.deadline) {
      const { id: first } = before.operation
      this.#problem('Q6', `${operation.key} is executed for ${id} and was for ${first}`)
    }
    if (now >= deadline) this.#problem('Q7', `request ${id} is executed after its deadline`)
    const isCall = ({ asking }: Operation) => asking.to === 'call'
    const running = mine.filter((one) => !one.isOver && one.deadline > now && isCall(one.operation))
    if (isCall(operation) && running.length >= this.#setup.concurrency) {
      this.#problem('Q8', `${running.length + 1} handlers run`)
    }
    const execution: Execution = { operation, process, deadline, isOver: false }
    this.#executions.push(execution)
    return () => {
      execution.isOver = true
    }
  }

  // ----------------------------------------------------------------------- what is answered (Q2…)

  /** An answer came to the broker. */
  answered({ packet }: PacketRecord): void {
    const publish = packet as Publish
    const wire = readWire(publish, this.#setup.protocolVersion)
    const attempt = this.#attempts.get(wire.correlation)
    if (attempt === undefined) {
      return this.#problem('Q2', `an answer to no request, ${wire.correlation}`)
    }
    attempt.answers++
    if (publish.qos) this.#answering.set(publish.messageId!, attempt)
    const wrong = this.#wrongValue(attempt.operation, wire.text)
    if (wire.status === 200 && wrong) {
      this.#problem('Q2', `request ${attempt.operation.id} is answered with "${wire.text}"`)
    }
  }

  /** The broker acknowledges an answer for good. */
  answerSettled({ packet }: PacketRecord): void {
    const attempt = this.#answering.get((packet as { messageId: number }).messageId)
    if (attempt !== undefined) attempt.settledAnswers++
  }

  /** The answerer acknowledges a request: it must have been answered, or its time is over. */
  acknowledged({ packet, connection }: PacketRecord): void {
    const { messageId } = packet as { messageId: number }
    const attempt = this.#delivered.get(`${connection} ${messageId}`)
    if (attempt === undefined || this.#now() >= attempt.expiresAt) return
    const { operation, answers, settledAnswers } = attempt
    if (this.#setup.responseQos > 0) {
      if (settledAnswers > 0) return
      return this.#problem('Q5', `${operation.id} is acknowledged, its answer is not settled`)
    }
    // At QoS 0 an answer that was given to the engine may be lost with the connection.
    const isOver = this.#executions.some((one) => {
      return one.operation.key === operation.key && (one.isOver || this.#now() >= one.deadline)
    })
    if (!isOver && answers === 0 && !operation.isKeyShared) {
      this.#problem('Q5', `request ${operation.id} is acknowledged before it was answered`)
    }
  }

  // ------------------------------------------------------------------------------ what comes of it

  /** A response that the asker was given. */
  checkResponse(operation: Operation, text: string, status: number, via: string, i = 0): void {
    if (via === 'fallback') {
      if (text !== `fallback ${operation.key}`) this.#problem('Q12', `a fallback said "${text}"`)
      return
    }
    const { doing } = (operation.base ?? operation).asking
    const isStream = doing === 'stream'
    const isRight = isStream
      ? text === `${(operation.base ?? operation).id}/${i}`
      : doing === 'nothing'
        ? status === 204 && text === ''
        : !this.#wrongValue(operation, text)
    if (!isRight) this.#problem('Q2', `request ${operation.id} was given "${text}" (${status})`)
  }

  #wrongValue(operation: Operation, text: string): boolean {
    const { id, asking } = operation.base ?? operation
    if (asking.doing === 'stream') return !new RegExp(`^(${id}/\\d+)?$`).test(text)
    return asking.doing !== 'value' || text !== `${id}`
  }

  /** A request was rejected. */
  checkError(operation: Operation, error: unknown): void {
    const { code = '', message = '' } = (error ?? {}) as { code?: string; message?: string }
    const { id, asking, process, isForNobody, isKeyShared } = operation
    const { doing } = (operation.base ?? operation).asking
    const isRight: Readonly<Record<string, boolean>> = {
      TIMEOUT: this.#now() >= operation.startedAt + asking.timeout,
      NO_RESPONDERS: isForNobody && this.#setup.protocolVersion === 5 && asking.qos > 0,
      ENDED: process.isEnding || process.isOver || process.hasFailed,
      RESPONDER_FAILED: doing === 'throw' || doing === 'never',
      NOPE: doing === 'fail' || (doing === 'throw' && asking.to === 'pull'),
      RESPONDER_TIMEOUT: true,
      // The parts of a stream are not kept for those who repeat their request.
      BUSY: doing === 'stream',
      KEY_REUSED: isKeyShared,
      STREAM_GAP: doing === 'stream',
    }
    if (isRight[code] !== true) this.#problem('Q2', `request ${id} failed: ${code} ${message}`)
  }
}

/** @returns what a message says, in the wire of its version. */
function readWire({ payload, properties }: Publish, version: 4 | 5): Wire {
  const text = new TextDecoder().decode(payload as Uint8Array)
  if (version === 5) {
    const {
      correlationData,
      responseTopic,
      messageExpiryInterval,
      userProperties = {},
    } = properties ?? {}
    return {
      correlation: Buffer.from((correlationData as Uint8Array | undefined) ?? []).toString('hex'),
      replyTo: responseTopic,
      expiresMs: messageExpiryInterval === undefined ? undefined : messageExpiryInterval * 1000,
      operation: Number(userProperties['operation']),
      text,
      status: Number(userProperties['itm-status']),
    }
  }
  const envelope = JSON.parse(text)
  return {
    correlation: envelope.id,
    replyTo: envelope.reply,
    expiresMs: envelope.expires,
    operation: Number(envelope.properties?.operation),
    text: envelope.payload ?? '',
    status: envelope.status,
  }
}
