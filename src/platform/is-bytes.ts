/** What are bytes, on every runtime? */

/** Whether a value is a Uint8Array or a subclass of it, of this realm or of another one. */
export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || tagOf.call(value) === 'Uint8Array'
}

/**
 * @returns the name of the class of a typed array, or undefined for other values. No other object
 * can imitate the result.
 */
const tagOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!.get as (this: unknown) => string | undefined
