/** What is an entry of the table of questions? */
import type { FoundOut, Visit } from './visit.ts'

export interface DoctorQuestion {
  readonly id: string
  readonly question: string
  /** Whether MQTT 3.1.1 has nothing of the kind. */
  readonly needs5?: true
  /** Whether the first connection is enough for it. */
  readonly single?: true
  /** Whether it waits for seconds, so that it is asked first. */
  readonly waits?: true
  /** Whether it is asked after all others, and while nothing else is. */
  readonly alone?: true
  /** @throws anything: the reason why there is no answer. */
  run(visit: Visit): Promise<FoundOut>
}
