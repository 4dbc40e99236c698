/**
 * What does a topic's codec and schema make of a payload, and of a value? Every failure, also of
 * codecs and schemas of users, becomes one error with the code INVALID_PAYLOAD.
 *
 * What is sent is the value as it was given: the schema only validates it. The receiver has the
 * same schema and applies its transformations, which must not be applied twice.
 */
import { ProtocolError, UsageError } from '../index.ts'
import type { Codec, PayloadContext } from './codec.ts'
import { invalidIncoming, invalidOutgoing, payloadFault, schemaFault } from './invalid-payload.ts'
import { type StandardSchema, validateWith } from './standard-schema.ts'

/** How the values of a topic are converted and validated. A `Topic` is one. */
interface Conversion<Value> {
  readonly codec: Codec<unknown>
  readonly schema: StandardSchema<unknown, Value> | undefined
}

/**
 * @returns the payload of a value.
 * @throws UsageError with code INVALID_PAYLOAD if schema or codec refuse it.
 */
export function encodePayload(
  { codec, schema }: Conversion<unknown>,
  value: unknown,
): Uint8Array | string {
  if (schema !== undefined) {
    const { issues } = attempt(
      () => validateWith(schema, value),
      (cause) =>
        invalidOutgoing({ ...payloadFault('could not be validated: the schema threw'), cause }),
    )
    if (issues !== undefined) throw invalidOutgoing(schemaFault(issues))
  }
  return attempt(
    () => codec.encode(value),
    (cause) => invalidOutgoing({ ...payloadFault('could not be encoded: the codec threw'), cause }),
  )
}

/**
 * @returns the value of a payload.
 * @throws ProtocolError with code INVALID_PAYLOAD if schema or codec refuse it. UsageError if the
 *   schema is asynchronous.
 */
export function decodePayload<Value>(
  { codec, schema }: Conversion<Value>,
  payload: Uint8Array,
  message: PayloadContext,
): Value {
  const { topic } = message
  const value = attempt(
    () => codec.decode(payload, message),
    (cause) =>
      invalidIncoming(topic, { ...payloadFault('could not be decoded: the codec threw'), cause }),
  )
  // Without a schema the type of the topic is that of its codec.
  if (schema === undefined) return value as Value
  const validated = attempt(
    () => validateWith(schema, value),
    (cause) =>
      invalidIncoming(topic, {
        ...payloadFault('could not be validated: the schema threw'),
        cause,
      }),
  )
  if (validated.issues === undefined) return validated.value
  throw invalidIncoming(topic, schemaFault(validated.issues))
}

/** Runs code that may be the user's. Errors that say what is wrong already are passed on. */
function attempt<Result>(run: () => Result, errorOf: (cause: unknown) => Error): Result {
  try {
    return run()
  } catch (cause) {
    throw cause instanceof UsageError || cause instanceof ProtocolError ? cause : errorOf(cause)
  }
}
