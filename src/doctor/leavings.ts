/**
 * What has an examination left at the broker, and how is it removed? Everything is written down
 * before it is made, so that nothing is forgotten if a question fails or is ended, and struck off
 * when it is removed.
 */

/** What a removal needs of a connection. */
export interface Remover {
  /** Publishes an empty retained message. @returns whether the broker has accepted it. */
  clear(topic: string): Promise<boolean>
  /** Begins a new session with this client identifier and ends it. @returns whether it could. */
  forget(clientId: string): Promise<boolean>
}

/** One thing that was made. */
interface Leaving {
  /** The id of the question that made it. */
  readonly question: string
  readonly name: string
  remove(remover: Remover): Promise<boolean>
}

/** How many are removed at the same time. */
const REMOVED_TOGETHER = 4

export class Removal {
  /** By topic or client identifier. */
  readonly #retained = new Map<string, Leaving>()
  readonly #sessions = new Map<string, Leaving>()

  retained(question: string, topic: string): void {
    const name = `the retained message of ${topic}`
    this.#retained.set(topic, { question, name, remove: ({ clear }) => clear(topic) })
  }

  session(question: string, clientId: string): void {
    const name = `the session of ${clientId}`
    this.#sessions.set(clientId, { question, name, remove: ({ forget }) => forget(clientId) })
  }

  /** A retained message was refused, so that there is none. */
  spare(topic: string): void {
    this.#retained.delete(topic)
  }

  get size(): number {
    return this.#retained.size + this.#sessions.size
  }

  /** What was made and is not removed, in words. */
  get names(): readonly string[] {
    const all = [...this.#retained.values(), ...this.#sessions.values()]
    return all.map(({ name }) => name)
  }

  /**
   * Removes what was made, a few at the same time. What cannot be removed stays.
   * @param question whose it is; null: all.
   */
  async run(remover: Remover, question: string | null): Promise<void> {
    const work = [this.#retained, this.#sessions].flatMap((made) =>
      [...made]
        .filter(([, leaving]) => question === null || leaving.question === question)
        .map(([key, leaving]) => async () => {
          if (await leaving.remove(remover).catch(() => false)) made.delete(key)
        }),
    )
    const worker = async () => {
      for (let next = work.shift(); next !== undefined; next = work.shift()) await next()
    }
    await Promise.all(Array.from({ length: REMOVED_TOGETHER }, worker))
  }
}
