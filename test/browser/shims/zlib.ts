/** `crc32` of Node, for a browser: bit by bit, and so unlike the one that is tested. */
export function crc32(bytes: Uint8Array, earlier = 0): number {
  let crc = ~earlier
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}
