/**
 * How does a loop step without copying its whole state each time?
 *
 * A state that nobody else holds is edited in place: the draft of the step before goes on. Who
 * wants to keep a state asks for a snapshot, and the next step then begins with a copy. So `step`
 * of the reducers and this class give the same states and effects.
 *
 * A draft takes about a kilobyte. A process may have thousands of loops that do nothing, so only
 * those that stepped in the last milliseconds have one.
 */
import type { Effect, Input } from '../protocol/contract.ts'
import { Draft } from '../protocol/draft.ts'
import { stepDraft } from '../protocol/engine.ts'
import type { State } from '../protocol/state.ts'
import { shareGroups } from './shared-groups.ts'

/** How long a loop keeps a draft, in ms. Then it begins another one, if it still steps. */
const DRAFT_MS = 20
/** How many loops let go of an old draft when another loop begins one, at most. */
const LEAVING_MAX = 4

/** The loops that have a draft, the oldest draft first, from index `first` on. */
const owners: Stepper[] = []
let first = 0

/** Its methods are `private` and not `#`, for the reason given at `Loop`. */
export class Stepper {
  /** The state after the last step. Later steps may change it. */
  state: State
  #draft: Draft | null = null
  /** When the draft was begun, on the clock of its loop. */
  #begunAt = 0

  constructor(state: State) {
    this.state = state
  }

  /** Steps the reducers. @returns the effects. */
  step(inputs: readonly Input[]): readonly Effect[] {
    const draft = this.#draft ?? this.begin(inputs[0]?.at ?? this.#begunAt)
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

  private begin(at: number): Draft {
    const draft = new Draft(this.state)
    this.#draft = draft
    this.#begunAt = at
    for (let left = 0; left < LEAVING_MAX && first < owners.length; left++) {
      const oldest = owners[first]!
      if (at - oldest.#begunAt < DRAFT_MS && at >= oldest.#begunAt) break
      first++
      if (oldest !== this) oldest.leave()
    }
    if (first * 2 > owners.length) {
      owners.splice(0, first)
      first = 0
    }
    owners.push(this)
    return draft
  }

  /** Lets go of the draft. While there was one, nobody else held the state. */
  private leave(): void {
    if (this.#draft === null) return
    this.#draft = null
    shareGroups(this.state)
  }
}
