/**
 * How do `pub` and `pipe` deliver? They drive a loop until every request is settled or Ctrl-C ends
 * it, and save the session meanwhile.
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
} from '../index.ts'
import { ConnectionFollower } from './follow-connection.ts'
import { Interrupt } from './interrupt.ts'
import { showStatus } from './screen.ts'
import type { SessionFile } from './session-file.ts'

interface Job {
  /** Options of the loop, without those that `deliver` sets. */
  readonly options: EventloopOptions
  readonly requests: Requests
  readonly onSettled: (request: Request, outcome: Outcome) => void
  readonly onStart?: (loop: Eventloop) => void
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
    job.requests,
  )
  follower.follow(loop)
  const interrupt = new Interrupt(() => loop.disconnect(job.disconnectTimeout))
  const save = async (ended: boolean) => {
    if (job.sessionFile === null) return
    const { session } = loop
    const position = await job.position(ended)
    await job.sessionFile.save(session, position)
  }
  let timer: NodeJS.Timeout | undefined
  let error: unknown
  try {
    // A session file that cannot be written is an error before anything is sent.
    await save(false)
    timer = setInterval(
      () => save(false).catch(({ message }: Error) => quiet || say(message)),
      SAVE_EVERY_MS,
    )
    job.onStart?.(loop)
    // Other packets are ignored: outcomes come from `onSettled`, and messages are for `sub`.
    for await (const packet of loop) if (packet.cmd === 'connack') follower.accepted(packet)
  } catch (thrown) {
    error = thrown
  } finally {
    clearInterval(timer)
    interrupt.close()
  }
  try {
    await save(error === undefined && !interrupt.caught)
  } catch (thrown) {
    error ??= thrown
  }
  const { caught, status } = interrupt
  return { error, held: loop.session.held, interrupted: caught, status }
}
