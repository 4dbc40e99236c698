/**
 * Is it an MQTT server that answers?
 *
 * A wrong port is the commonest mistake at a first contact, and what stands behind it answers in
 * its own protocol. The first bytes show which: no packet that may be the first of an MQTT server
 * begins with a printable character, or with a record of TLS.
 */

/** How many bytes are kept for a message. */
const KEPT_BYTES = 96
/** Fewer printable bytes than this are not called a text. */
const TEXT_BYTES_MIN = 4
/** A text that goes on for this long without the end of a line is judged as it is. */
const LINE_BYTES_MIN = 16

/** The first bytes of the packets that may come first: CONNACK, DISCONNECT, AUTH. */
const OF_MQTT: ReadonlySet<number> = new Set([0x20, 0xe0, 0xf0])

/** What else listens at ports, by the text with which it begins, and what to do. */
const PROTOCOLS: readonly (readonly [begins: RegExp, name: string, advice: string])[] = [
  [/^HTTP\/\d/, 'an HTTP server', 'for WebSocket use ws:// (with TLS wss://)'],
  [/^(?:<!doctype|<html)/i, 'an HTTP server', 'for WebSocket use ws:// (with TLS wss://)'],
  [/^[\x14-\x16]\x03[\0-\x04]/, 'a TLS server', 'use mqtts:// (for WebSocket wss://)'],
  [/^SSH-/, 'an SSH server', 'check the port'],
  [/^(?:220|421|554)[ -]/, 'a mail or FTP server', 'check the port'],
  [/^\+OK/, 'a mail server (POP3)', 'check the port'],
  [/^\* (?:OK|PREAUTH|BYE)/, 'a mail server (IMAP)', 'check the port'],
  [/^AMQP/, 'an AMQP server', 'brokers have MQTT at another port, usually 1883'],
  [/^INFO \{/, 'a NATS server', 'it has MQTT at another port, usually 1883'],
  [/^-(?:ERR|NOAUTH|DENIED)/, 'a Redis server', 'check the port'],
  [/^RFB \d/, 'a VNC server', 'check the port'],
  [/^(?:RTSP|SIP)\/\d/, 'a media server', 'check the port'],
  [/^\0\0[\0-\xff]\x04[\0-\x01]\0\0\0\0/, 'an HTTP/2 server', 'check the port'],
  [/^\xff[\xfb-\xfe]/, 'a Telnet server', 'check the port'],
]

/** The first bytes of a record of TLS, which has three bytes that are known. */
const RECORD_TYPES: ReadonlySet<number> = new Set([0x14, 0x15, 0x16])
const RECORD_BYTES_MIN = 3

/** Whether a server that sends this byte first may be one of MQTT. */
export function mayBeMqtt(first: number | undefined): boolean {
  return first === undefined || OF_MQTT.has(first)
}

/** @returns the bytes that are known so far, with those of another chunk. */
export function joinFirst(before: Uint8Array, chunk: Uint8Array): Uint8Array {
  const kept = chunk.subarray(0, KEPT_BYTES - before.length)
  const both = new Uint8Array(before.length + kept.length)
  both.set(before)
  both.set(kept, before.length)
  return both
}

/**
 * @param over whether nothing more will come.
 * @returns who answered and what to do, for a message; null if the bytes may be those of MQTT, and
 *   `more` if more of them are needed.
 */
export function whoAnswers(bytes: Uint8Array, over: boolean): string | 'more' | null {
  const text = String.fromCharCode(...bytes)
  const known = PROTOCOLS.find(([begins]) => begins.test(text))
  const isText = /^[\t\r\n\x20-\x7e]+$/.test(text)
  if (known !== undefined) {
    const [, name, advice] = known
    return `${name} answered${isText ? ` (${firstLine(text)})` : ''}; ${advice}`
  }
  if (!isText) {
    const isCut = RECORD_TYPES.has(bytes[0] ?? 0) && bytes.length < RECORD_BYTES_MIN
    return isCut && !over ? 'more' : null
  }
  if (!over && !/[\r\n]/.test(text) && bytes.length < LINE_BYTES_MIN) return 'more'
  if (bytes.length < TEXT_BYTES_MIN) return null
  return `something answered with the text ${firstLine(text)}; check host and port`
}

function firstLine(text: string): string {
  return JSON.stringify(text.split(/[\r\n]/, 1)[0]!.slice(0, 60))
}
