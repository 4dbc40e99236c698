/** A reason code as the standard writes it: 0x87. */
export function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0').toUpperCase()}`
}
