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

export class Removal {
  readonly #topics = new Set<string>()
  readonly #ids = new Set<string>()

  retained(topic: string): void {
    this.#topics.add(topic)
  }

  session(clientId: string): void {
    this.#ids.add(clientId)
  }

  /** @returns what could not be removed. */
  async run({ clear, forget }: Remover): Promise<readonly string[]> {
    const left: string[] = []
    for (const topic of this.#topics) {
      if (!(await clear(topic).catch(() => false))) left.push(`the retained message of ${topic}`)
    }
    for (const id of this.#ids) {
      if (!(await forget(id).catch(() => false))) left.push(`the session of ${id}`)
    }
    return left
  }
}
