/** Two radiator valves: this stands for the hardware. Somebody may turn one by hand. */
import { EventEmitter } from 'node:events'

export class Valves extends EventEmitter<{ turned: [room: string] }> {
  readonly #targets = new Map([
    ['kitchen', 20],
    ['bath', 22],
  ])

  get rooms(): readonly string[] {
    return [...this.#targets.keys()]
  }

  async read(room: string): Promise<number> {
    return this.#targets.get(room)!
  }

  async set(room: string, target: number): Promise<void> {
    if (target > 30) throw new Error(`the valve of ${room} cannot do ${target} °C`)
    this.#targets.set(room, target)
    this.emit('turned', room)
  }
}
