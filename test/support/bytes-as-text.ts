/**
 * For the tests with the web flavours: they read payloads with `toString()`, which gives text for a
 * Buffer and numbers for a Uint8Array. Here a Uint8Array gives text too, but only to the tests:
 * code of src/ that did so would work on Node alone.
 */

const original = Uint8Array.prototype.toString

Uint8Array.prototype.toString = function (this: Uint8Array): string {
  const caller = new Error('who asks?').stack?.split('\n')[2] ?? ''
  if (/[\\/]src[\\/]/.test(caller)) throw new Error(`bytes are not text on the web: ${caller}`)
  if (/node_modules/.test(caller)) return original.call(this)
  return Buffer.from(this.buffer, this.byteOffset, this.length).toString()
}
