/**
 * How does a loop step without copying its whole state each time?
 *
 * A state that nobody else holds is edited in place: the draft of the step before goes on. Who
 * wants to keep a state asks for a snapshot, and the next step then begins with a copy. So `step`
 * of the reducers and this class give the same states and effects.
 *
 * A draft takes about a kilobyte. A process may have thousands of loops that do nothing, so only
 * the few that stepped last have one.
 */
import type { Effect, Input } from '../protocol/contract.ts'
import { Draft } from '../protocol/draft.ts'
import { stepDraft } from '../protocol/engine.ts'
import type { State } from '../protocol/state.ts'
import { shareGroups } from './shared-groups.ts'

/** The number of loops in a process that have a draft. */
const DRAFTS = 8

const owners: (Stepper | null)[] = new Array(DRAFTS).fill(null)
let nextOwner = 0

/** Its methods are `private` and not `#`, for the reason given at `Loop`. */
export class Stepper {
  /** The state after the last step. Later steps may change it. */
  state: State
  #draft: Draft | null = null

  constructor(state: State) {
    this.state = state
  }

  /** Steps the reducers. @returns the effects. */
  step(inputs: readonly Input[]): readonly Effect[] {
    const draft = this.#draft ?? this.begin()
    draft.begin()
    stepDraft(draft, inputs)
    this.state = draft.finish()
    return draft.effects
  }

  /** @returns the state after the last step, which no later step changes. */
  snapshot(): State {
    this.#draft = null
    return this.state
  }

  /** Goes on from another state, of which this object is the only owner. */
  replace(state: State): void {
    this.#draft = null
    this.state = state
  }

  private begin(): Draft {
    const draft = new Draft(this.state)
    this.#draft = draft
    const former = owners[nextOwner]
    if (former !== this) former?.leave()
    owners[nextOwner] = this
    nextOwner = (nextOwner + 1) % DRAFTS
    return draft
  }

  /** Lets go of the draft. While there was one, nobody else held the state. */
  private leave(): void {
    if (this.#draft === null) return
    this.#draft = null
    shareGroups(this.state)
  }
}
