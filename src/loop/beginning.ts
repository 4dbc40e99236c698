/**
 * How does a loop begin? With the first `next()`, or with `connect()` and the loop that takes the
 * connection of `connect()` over.
 */
import { Network } from '../connection/network.ts'
import type { EventloopOptions } from '../options/options.ts'
import { resolveOptions } from '../options/resolve.ts'
import { listenForAbort } from '../platform/abort-listeners.ts'
import { wallNow } from '../platform/machine.ts'
import type { Config, ReconnectPolicy } from '../protocol/config.ts'
import type { Effect } from '../protocol/contract.ts'
import { initialState } from '../protocol/initial.ts'
import type { Session } from '../requests/session.ts'
import { restorable } from '../requests/session-records.ts'
import type { Source } from '../requests/source.ts'
import type { CommitGate } from './commit-gate.ts'
import { Diverter } from './diverter.ts'
import { abort } from './ending.ts'
import { rethrown } from './failures.ts'
import { isAlive, lifeAfter } from './life.ts'
import { type Driver, endsOf, type Parts, type Thrown } from './parts.ts'
import { perform } from './perform.ts'

/** Begins the loop at the first `next()`. */
export function begin(loop: Parts): void {
  const kept = loop.life === 'established' ? loop.ends!.kept! : null
  loop.life = lifeAfter(loop.life, 'next')
  if (kept === null) start(loop)
  else takeOver(loop, kept)
}

/**
 * Makes one attempt for `connect()`. Nothing is sent and nothing is read after the CONNACK.
 * @returns a promise of the good CONNACK; it rejects with the error that ended the attempt.
 */
export function establish(loop: Parts): Promise<void> {
  loop.life = lifeAfter(loop.life, 'establish')
  return new Promise((resolve, reject) => {
    endsOf(loop).established = (error: Thrown | null) => {
      if (error === null) resolve()
      else reject(error.reason)
    }
    start(loop)
  })
}

/** Keeps the effects of a good CONNACK for the loop that takes the connection over. */
export function keep(loop: Parts, effects: readonly Effect[]): void {
  loop.life = lifeAfter(loop.life, 'accepted')
  const ends = endsOf(loop)
  const { established } = ends
  ends.established = null
  ends.kept = effects
  loop.link?.pause()
  loop.link?.handTo(null)
  established?.(null)
}

/**
 * Connects the streams and the reconnect policy of a new loop to a connection that `connect()`
 * made.
 */
export function adopt(
  loop: Parts,
  requests: Source | null,
  controls: Source | null,
  policy: ReconnectPolicy,
): void {
  loop.intake.attach(requests, controls)
  loop.ledger.rebind(requests)
  const { reconnect } = loop.state
  loop.replaceState({ ...loop.state, reconnect: { ...reconnect, policy } })
}

function takeOver(loop: Parts, kept: readonly Effect[]): void {
  endsOf(loop).kept = null
  loop.withoutTurns(() => perform(loop, kept))
  loop.inbox.serve()
  loop.link?.outbox.flush()
  loop.link?.handTo(loop)
  if (!loop.state.keepAlive.readingPaused) loop.link?.resume()
  loop.run({ type: 'tick', at: loop.now() })
}

/**
 * Adds the listeners for the options `signal` and `networkHints`, loads the stored session if there
 * is one, and gives the reducers the input to dial.
 */
function start(loop: Parts): void {
  const { signal, networkHints, connectivityCheck, divert } = loop.resolved.options
  if (signal?.aborted) return abort(loop)
  if (signal !== undefined) {
    const onAbort = () => abort(loop)
    endsOf(loop).onAbort = onAbort
    listenForAbort(signal, onAbort)
  }
  if (networkHints !== undefined || connectivityCheck !== undefined) {
    loop.network = new Network(loop.resolved.options, loop)
    loop.network.listen()
  }
  if (divert !== undefined) loop.diverter = new Diverter(divert, loop)
  if (loop.gate === null) loop.run({ type: 'start', at: loop.now() })
  else loadStored(loop, loop.gate)
}

async function loadStored(loop: Parts, gate: CommitGate): Promise<void> {
  try {
    const session = await gate.load()
    if (!isAlive(loop.life)) return
    if (session !== null) goOnWith(loop, session)
  } catch (error) {
    const failure = rethrown(loop.causes.keep(error))
    return loop.run({ type: 'shutdown', at: loop.now(), failure })
  }
  loop.run({ type: 'start', at: loop.now() })
}

function goOnWith(loop: Parts, session: Session): void {
  const { options } = loop.resolved
  const { config } = resolveOptions({ ...options, session }, session)
  const cleanStart = config.cleanStart === 'always' ? 'always' : false
  configure(loop, { ...config, cleanStart, store: true })
  restore(loop, session)
}

/** Changes settings before anything is sent. */
function configure(loop: Parts, config: Partial<Config>): void {
  loop.replaceState({ ...loop.state, config: { ...loop.state.config, ...config } })
}

/** Lets code of this package drive the loop and see each outcome; before the first `next()`. */
export function driveBy(loop: Parts, { until, acks, settled }: Driver): void {
  configure(loop, { until, acks, packets: 'all' })
  loop.inbox.manual = acks === 'manual' || acks === 'none'
  loop.ledger.observe(settled)
}

/** The options that a loop may choose anew when it takes a connection of `connect()` over. */
export type LoopChoices = Pick<
  EventloopOptions,
  'acks' | 'until' | 'packets' | 'warnAfterMs' | 'onConnected'
>

/**
 * Replaces options before the first `next()`. `onConnected` is called before that of `connect()`.
 */
export function choose(loop: Parts, { onConnected, ...choices }: LoopChoices): void {
  const given = Object.entries(choices).filter(([, value]) => value !== undefined)
  const { config } = resolveOptions({ ...loop.resolved.options, ...Object.fromEntries(given) })
  const { acks, until, packets, warnAfterMs } = config
  configure(loop, { acks, until, packets, warnAfterMs })
  loop.inbox.manual = acks === 'manual'
  if (onConnected === undefined) return
  configure(loop, { hasBirths: true })
  endsOf(loop).onConnected = onConnected
}

/** Continues a session of an earlier loop. */
export function restore(loop: Parts, session: Session): void {
  const record = restorable(session.record(), loop.platform.random())
  const { requests } = loop.intake
  const restored = loop.ledger.restore(record, requests, loop.now(), wallOffsetMs(loop))
  const { counters, ...state } = initialState(loop.state.config, restored)
  // These requests were taken by an earlier loop. They are held, so they count as taken too: taken
  // = settled + held.
  const taken = restored.owed + restored.waiting.length
  loop.replaceState({ ...state, counters: { ...counters, taken } })
}

/** @returns the wall clock minus the loop's clock, in ms. */
export function wallOffsetMs({ platform }: Pick<Parts, 'platform'>): number {
  return (platform.wallNow?.() ?? wallNow()) - platform.now()
}
