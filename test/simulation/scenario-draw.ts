/** Draws for a scenario from a seed: the same seed draws the same. */
import { randomOf } from '../support/random.ts'

export class ScenarioDraw {
  readonly random: () => number

  constructor(seed: number) {
    this.random = randomOf(seed)
  }

  below(n: number): number {
    return Math.floor(this.random() * n)
  }

  chance(p: number): boolean {
    return this.random() < p
  }

  oneOf<T>(...all: readonly T[]): T {
    return all[this.below(all.length)]!
  }

  /** Draws evenly over the orders of magnitude. */
  upTo(max: number): number {
    return Math.floor(Math.exp(this.random() * Math.log(max + 1)))
  }
}
