/**
 * How does a process answer when it is asked whether it is there, what it does and how it fares?
 * Three filters, because a question goes to all, to its service, or to it alone. (B20, who is there
 * can be found out)
 */
import { type Codec, json } from '../client/index.ts'
import { MqttError } from '../index.ts'
import type { BusInsides } from './bus-insides.ts'
import { controlAnswer, controlTopic } from './control-wire.ts'

/** What stands in a question is not read. */
const ANSWER_CODEC: Codec<unknown> = { ...json, decode: () => undefined }

/** Answers from now on, whenever the client reads. */
export function answerControl(bus: BusInsides): void {
  const { prefix, service, process, client, clock } = bus.parts
  const startedAt = clock.now()
  const levels = prefix.split('/').length
  const filters = [
    controlTopic(prefix, '+'),
    controlTopic(prefix, '+', service),
    controlTopic(prefix, '+', service, process),
  ]
  const granted = filters.map((filter) => {
    const responder = client.respond(
      filter,
      ({ topic }) => {
        const verb = topic.split('/')[levels + 1]!
        const answer = controlAnswer(bus, verb, clock.now() - startedAt)
        if (answer === null) throw new Error('this process does not know what is asked')
        return answer
      },
      {
        // Whoever asks again wants to know how it is now.
        ...{ codec: ANSWER_CODEC, qos: 1, dedupe: false },
        onError: () => ({ status: 404, code: 'UNKNOWN', message: 'there is no such verb' }),
      },
    )
    return responder.granted
  })
  Promise.all(granted).catch((error: unknown) => {
    if (error instanceof MqttError && error.code === 'ENDED') return
    // Nothing was refused here: the connection has ended for good, and `run()` rejects with why.
    if (client.state.connection.kind === 'failed') return
    const what = 'The server refuses the control topics of the bus, so that nobody discovers this'
    bus.parts.warn('CONTROL_REFUSED', `${what} process: ${(error as Error).message}`)
  })
}
