/**
 * How does a responder get credit and cancels for the streams that it sends? All of them come to
 * topics below the client's own, with one level for each stream. (Q9, a streamed response is
 * complete or says so)
 */
import type { IncomingPublish } from '../../index.ts'
import type { Core } from '../core.ts'
import { property, WIRE_NAMES, wholeNumberIn } from './answers.ts'
import { latin1Of } from './correlation.ts'
import { readControl } from './envelope.ts'
import { CONTROL_LEVEL } from './request-desk.ts'

/** A stream that is being sent. */
export interface Controlled {
  /** What its requester knows it by. */
  readonly correlation: string
  /** So many parts may have been sent in all; 0 cancels the stream. */
  credited(parts: number): void
}

export class StreamControls {
  readonly #core: Core
  readonly #streams = new Map<string, Controlled>()
  #granted: Promise<boolean> | null = null
  #count = 0

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * @returns the topic for credit and cancels of a stream, or undefined if the server does not
   *   grant it; then there is no credit, and the stream is sent without it.
   */
  async open(stream: Controlled): Promise<string | undefined> {
    this.#granted ??= this.#listen()
    if (!(await this.#granted)) return undefined
    const topic = `${this.#core.responseTopic()}/${(this.#count++).toString(36)}${CONTROL_LEVEL}`
    this.#streams.set(topic, stream)
    return topic
  }

  close(topic: string | undefined): void {
    if (topic !== undefined) this.#streams.delete(topic)
  }

  #listen(): Promise<boolean> {
    const filter = `${this.#core.responseTopic()}/+${CONTROL_LEVEL}`
    const listener = this.#core.listen(filter, 0, (packet) => this.#receive(packet))
    return listener.granted.then(
      () => true,
      () => false,
    )
  }

  #receive({ topic, payload, properties }: IncomingPublish): void {
    const stream = this.#streams.get(topic)
    if (stream === undefined) return
    const data = properties?.correlationData
    const enveloped = data === undefined ? readControl(payload) : null
    const correlation = data === undefined ? enveloped?.id : latin1Of(data)
    if (correlation !== stream.correlation) return
    const parts = enveloped?.credit ?? creditOf(properties)
    if (parts >= 0) stream.credited(parts)
  }
}

function creditOf(properties: IncomingPublish['properties']): number {
  return wholeNumberIn(property(properties?.userProperties, WIRE_NAMES.credit))
}
