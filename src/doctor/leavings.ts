/**
 * What has an examination left at the broker, and how is it removed? Everything is written down
 * before it is made, so that nothing is forgotten if a question fails or is ended.
 */

/** What a removal needs of a connection. */
interface Remover {
  /** Publishes an empty retained message. @returns whether the broker has accepted it. */
  clear(topic: string): Promise<boolean>
  /** Begins a new session with this client identifier and ends it. @returns whether it could. */
  forget(clientId: string): Promise<boolean>
}

/** How many are removed at the same time. */
const REMOVED_TOGETHER = 4

export class Removal {
  readonly #topics = new Set<string>()
  readonly #ids = new Set<string>()

  retained(topic: string): void {
    this.#topics.add(topic)
  }

  session(clientId: string): void {
    this.#ids.add(clientId)
  }

  /** A retained message was refused, so that there is none. */
  spare(topic: string): void {
    this.#topics.delete(topic)
  }

  get size(): number {
    return this.#topics.size + this.#ids.size
  }

  /** Removes a few at the same time. @returns what could not be removed. */
  async run({ clear, forget }: Remover): Promise<readonly string[]> {
    const left: string[] = []
    const work = [
      ...[...this.#topics].map((topic) => async () => {
        if (!(await clear(topic).catch(() => false))) left.push(`the retained message of ${topic}`)
      }),
      ...[...this.#ids].map((id) => async () => {
        if (!(await forget(id).catch(() => false))) left.push(`the session of ${id}`)
      }),
    ]
    const worker = async () => {
      for (let next = work.shift(); next !== undefined; next = work.shift()) await next()
    }
    await Promise.all(Array.from({ length: REMOVED_TOGETHER }, worker))
    return left
  }
}
