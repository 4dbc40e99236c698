/**
 * What does the log of a service say about connections that are made again? A service that only
 * works now and then would else look healthy. Two processes with one name take the connection from
 * each other, and many servers close it without a reason.
 */

/** So many in a row, each within this time of the one before, are more than one outage. */
const SUSPECTED_AFTER = 4
const IN_A_ROW_MS = 30_000
/** The connections of one process come back together after an outage, and count as one. */
const TOGETHER_MS = 400

export class ReconnectNews {
  readonly #name: string
  #count = 0
  #latestAt = Number.NEGATIVE_INFINITY

  /** @param name the service and the process. */
  constructor(name: string) {
    this.#name = name
  }

  /** @returns the warning that there is now, or null. @param at ms of any clock. */
  again(at: number): string | null {
    const passed = at - this.#latestAt
    if (passed < TOGETHER_MS) return null
    this.#latestAt = at
    this.#count = passed < IN_A_ROW_MS ? this.#count + 1 : 1
    if (this.#count !== SUSPECTED_AFTER) return null
    return (
      `The connection was lost ${SUSPECTED_AFTER} times in a row. If another process runs as ` +
      `${this.#name}, the two take it from each other: give each a \`process\` of its own, such ` +
      'as by IT_MQTT_BUS_PROCESS.'
    )
  }
}
