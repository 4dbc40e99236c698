/**
 * How do `pub` and `pipe` deliver? They drive a loop until every request is settled or Ctrl-C ends
 * it, and save the session meanwhile. What was not delivered is kept in the session, also if the
 * loop ended before it took it (keep-rest.ts).
 *
 * Messages that the server sends in a durable session stay unacknowledged: they are for `sub`.
 */
import type { Position } from '../disk/index.ts'
import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type Outcome,
  type Request,
  type Requests,
  type SentRequest,
  type Session,
} from '../index.ts'
import { asSentence, printable } from './fail.ts'
import { ConnectionFollower } from './follow-connection.ts'
import { Drain, Interrupt } from './interrupt.ts'
import { canKeep, FollowedRequests, keepRest } from './keep-rest.ts'
import { showStatus } from './screen.ts'
import type { SessionFile } from './session-file.ts'

interface Job {
  /** Options of the loop, without those that `deliver` sets. */
  readonly options: EventloopOptions
  readonly requests: Requests
  readonly onSettled: (request: Request, outcome: Outcome) => void
  readonly onStart?: (loop: Eventloop) => void
  /**
   * Is called before the rest of the requests is kept in the session: they are to come without
   * waiting for outcomes.
   * @param isCut Whether only what is there already is to come.
   */
  readonly onKeep?: (isCut: boolean) => void
  /**
   * Writes what becomes of the connection, warnings, and the reason if the session could not be
   * saved.
   */
  readonly onTrouble: (message: string) => void
  /** Shows the status on a terminal, or removes it with null. Default: below the messages. */
  readonly onStatus?: (text: string | null) => void
  readonly quiet: boolean
  /** How long Ctrl-C waits for what is in flight, in ms. */
  readonly disconnectTimeout: number
  readonly sessionFile: SessionFile | null
  /**
   * Returns the position at the instant of the call, which is saved with the session.
   * @param ended True if the loop has ended by itself.
   */
  readonly position: (ended: boolean) => Promise<Position | null>
}

export interface Delivery {
  /** Why the loop ended before everything was settled; undefined if it did not. */
  readonly error: unknown
  /** Requests that were taken and are not settled. */
  readonly held: readonly SentRequest[]
  readonly interrupted: boolean
  /** The exit status for the signal that interrupted the delivery, or 0. */
  readonly status: number
}

/** How often the session is saved. */
const SAVE_EVERY_MS = 1_000

export async function deliver(job: Job): Promise<Delivery> {
  const { quiet, onTrouble: say, onStatus = showStatus } = job
  const follower = new ConnectionFollower(quiet, { say, status: onStatus })
  const requests = new FollowedRequests(job.requests)
  const loop = eventloop(
    {
      ...job.options,
      acks: 'manual',
      until: 'settled',
      // Messages are deliberately not acknowledged here, so the warning about that is limited to
      // one a day.
      warnAfterMs: 86_400_000,
      onSettled: job.onSettled,
      onWarning: follower.warned,
    },
    requests,
  )
  follower.follow(loop)
  const drain = new Drain(loop, job.disconnectTimeout, (text) => quiet || say(text))
  const stopKeeping = new AbortController()
  const interrupt = new Interrupt(() => {
    stopKeeping.abort()
    drain.begin()
  })
  const save = async (session: Session, ended: boolean) => {
    if (job.sessionFile === null) return
    await job.sessionFile.save(session, await job.position(ended))
  }
  let timer: NodeJS.Timeout | undefined
  let error: unknown
  try {
    // A session file that cannot be written is an error before anything is sent.
    await save(loop.session, false)
    timer = setInterval(
      () => save(loop.session, false).catch(({ message }: Error) => quiet || say(message)),
      SAVE_EVERY_MS,
    )
    job.onStart?.(loop)
    // Other packets are ignored: outcomes come from `onSettled`, and messages are for `sub`.
    for await (const packet of loop) if (packet.cmd === 'connack') follower.accepted(packet)
  } catch (thrown) {
    error = thrown
  } finally {
    clearInterval(timer)
    drain.end()
  }
  let { session } = loop
  let { held } = session
  try {
    const keeps = job.sessionFile !== null || job.options.session !== undefined
    if (keeps && canKeep(error) && !requests.isOver) {
      const isCut = error === undefined
      job.onKeep?.(isCut)
      session = await keepRest(job, requests, session, isCut, stopKeeping.signal)
      // What a session store gives back are other objects.
      held = [...held, ...session.held.slice(held.length)]
    }
  } catch (thrown) {
    say(asSentence(printable(thrown)))
  }
  try {
    await save(session, error === undefined && !interrupt.caught)
  } catch (thrown) {
    error ??= thrown
  }
  interrupt.close()
  const { caught, status } = interrupt
  return { error, held, interrupted: caught, status }
}
