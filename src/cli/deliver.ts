/**
 * What `pub` and `pipe` have in common: drive a loop until every request has its outcome, or Ctrl-C; keep the session.
 *
 * Messages that a durable session brings stay unacknowledged: they are for whoever subscribes.
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
import { Interrupt } from './interrupt.ts'
import type { SessionFile } from './session-file.ts'

export interface Job {
  readonly options: EventloopOptions
  readonly requests: Requests
  readonly onSettled: (request: Request, outcome: Outcome) => void
  readonly onStart?: (loop: Eventloop) => void
  readonly onTrouble: (message: string) => void
  readonly disconnectTimeout: number
  readonly sessionFile: SessionFile | null
  /** What is saved beside the session, of the instant of the call. `ended`: the loop has ended by itself. */
  readonly position: (ended: boolean) => Promise<Position | null>
}

export interface Delivery {
  /** What ended it before its time. */
  readonly error: unknown
  /** Requests that were taken and have no outcome. */
  readonly held: readonly SentRequest[]
  readonly interrupted: boolean
  /** 0, or that of the signal which ended it. */
  readonly status: number
}

const SAVE_EVERY_MS = 1_000

export async function deliver(job: Job): Promise<Delivery> {
  const loop = eventloop(
    {
      ...job.options,
      acks: 'manual',
      until: 'settled',
      // Nothing is ever acknowledged here, so nobody need be reminded of it within a day.
      warnAfterMs: 86_400_000,
      onSettled: job.onSettled,
      onWarning: ({ message }) => job.onTrouble(message),
    },
    job.requests,
  )
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
    // A place that cannot be written is told before anything is sent.
    await save(false)
    timer = setInterval(
      () => save(false).catch(({ message }: Error) => job.onTrouble(message)),
      SAVE_EVERY_MS,
    )
    job.onStart?.(loop)
    for await (const _ of loop) {
      // Outcomes come by onSettled, and messages are left to others.
    }
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
