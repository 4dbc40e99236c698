/** What is to be examined, and how? The options of `examine()`, checked. */
import {
  type EventloopOptions,
  eventloop,
  type Platform,
  systemPlatform,
  UsageError,
  validateTopic,
} from '../index.ts'
import type { DoctorOptions } from './doctor-types.ts'
import type { DoctorQuestion } from './question.ts'
import { QUESTIONS } from './question-list.ts'

const TIMEOUT_MS = 25_000
/** How long a connection may take, in ms. */
export const CONNECT_MS = 10_000

/** The names of all options. An option of a loop that is not among them is refused. */
const ALLOWED: ReadonlySet<string> = new Set<keyof DoctorOptions>([
  ...(['url', 'headers', 'tls', 'family', 'localAddress', 'lookup', 'transport'] as const),
  ...(['connectOptions', 'username', 'password', 'protocolVersion', 'connectTimeout'] as const),
  ...(['platform', 'prefix', 'clientIdPrefix', 'only', 'timeout', 'signal'] as const),
])

export interface DoctorPlan {
  readonly clock: Platform
  readonly prefix: string
  readonly clientIdPrefix: string
  readonly questions: readonly DoctorQuestion[]
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly target: EventloopOptions
}

/** @throws UsageError for an option that cannot be used, or that is none of the doctor. */
export function examinationPlan(options: DoctorOptions): DoctorPlan {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError('examine: options must be an object with a url or a transport')
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || ALLOWED.has(name)) continue
    // A will or a session of an application must not be taken into a hundred connections.
    const allowed = [...ALLOWED].join(', ')
    throw new UsageError(`examine has no option ${name}; leave it out. It has ${allowed}`)
  }
  const { prefix = 'it-mqtt/doctor', clientIdPrefix = 'doctor-', only, signal, ...rest } = options
  const { timeout = TIMEOUT_MS, platform = systemPlatform, connectOptions, ...target } = rest
  const problem = validateTopic(prefix)
  if (problem !== null) throw new UsageError(`prefix: ${problem}`)
  if (typeof clientIdPrefix !== 'string') throw new UsageError('clientIdPrefix must be a text')
  if (!(timeout >= 1000 && timeout <= 3_600_000)) {
    throw new UsageError('timeout must be a number of ms from 1,000 to 3,600,000')
  }
  const questions = chosen(only)
  // What leads to the server is checked as the loop checks it; nothing runs unless it is iterated.
  eventloop({ ...target, platform })
  return {
    ...{ clock: platform, prefix, clientIdPrefix, timeoutMs: timeout, signal },
    questions,
    target: {
      connectTimeout: CONNECT_MS,
      ...target,
      platform,
      // The identifiers and wills of an examination are its own.
      ...(connectOptions === undefined
        ? {}
        : {
            connectOptions: async (...args) => {
              const { clientId: _, will: __, ...own } = (await connectOptions(...args)) ?? {}
              return own
            },
          }),
    },
  }
}

function chosen(only: readonly string[] | undefined): readonly DoctorQuestion[] {
  if (only === undefined) return QUESTIONS
  const unknown = only.find((id) => QUESTIONS.every((one) => one.id !== id))
  if (unknown === undefined) return QUESTIONS.filter(({ id }) => only.includes(id))
  const names = QUESTIONS.map(({ id }) => id).join(', ')
  throw new UsageError(`only: there is no question ${unknown}; there are ${names}`)
}
