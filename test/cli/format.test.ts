import { describe, expect, test } from 'vitest'
import { type OutputFlags, writerOf } from '../../src/cli/format.ts'
import { requestOfMosquitto } from '../../src/cli/mosquitto-json.ts'
import { strftime } from '../../src/cli/strftime.ts'
import type { IncomingPublish } from '../../src/index.ts'

const PACKET: IncomingPublish = {
  ...{ cmd: 'publish', topic: 'a/b', qos: 1, retain: true, dup: false, messageId: 7 },
  payload: Buffer.from('hello'),
  properties: {
    ...{ contentType: 'text/x', messageExpiryInterval: 9, payloadFormatIndicator: true },
    ...{ responseTopic: 'rt', correlationData: Buffer.from('cd') },
    userProperties: { k: ['v', 'w'], l: 'x' },
  },
}

const text = (flags: OutputFlags, packet: Partial<IncomingPublish> = {}) =>
  writerOf(flags)({ ...PACKET, ...packet }).toString('latin1')
const line = (content: string | Buffer) => ({
  ...{ number: 3, offset: 0, end: 0 },
  bytes: Buffer.from(content),
})

describe('[CLI] -F', () => {
  test.each([
    ['%t|%6t|%-6t|%2.2t|%.1t', 'a/b|   a/b|a/b   |a/|a'],
    ['%p|%8p|%-8p|%3p|%08p', 'hello|   hello|hello   |hel|000hello'],
    ['%x|%X|%12x|%4x', '68656c6c6f|68656C6C6F|  68656c6c6f|6865'],
    ['%l|%03l|%-3l|%q|%r|%m|%05m', '5|005|5  |1|1|7|00007'],
    ['%C|%R|%D|%E|%F|%P', 'text/x|rt|cd|9|1|k:v k:w l:x'],
    ['%A|%3A|%S|%03S', '|   ||000'],
    ['%%|@@|\\\\|\\n|\\t|\\0|\\e', '%|@|\\|\n|\t|\0|\x1b'],
  ])('%s', (format, expected) => {
    expect(text({ format, withoutNewline: true })).toBe(expected)
  })

  test.each(['%y', '%', '%-', '%10', '@', '\\', '\\q'])('%s is refused', (format) => {
    expect(() => writerOf({ format })).toThrow(`${format} is not a placeholder`)
  })

  test('bytes are written as they are', () => {
    const payload = Buffer.from([0, 255, 10, 128])
    expect(text({ format: '%p' }, { payload })).toBe('\0\xff\n\x80\n')
    expect(text({}, { payload })).toBe('\0\xff\n\x80\n')
  })

  test('without a format the payload is written, with -v the topic before it', () => {
    expect(text({})).toBe('hello\n')
    expect(text({ withoutNewline: true })).toBe('hello')
    expect(text({ verbose: true })).toBe('a/b hello\n')
    const payload = Buffer.alloc(0)
    expect(text({}, { payload })).toBe('')
    expect(text({ verbose: true }, { payload })).toBe('a/b (null)\n')
  })

  test('%J is refused for a payload that is no JSON', () => {
    expect(() => text({ format: '%J' })).toThrow('a/b')
    const { payload } = JSON.parse(text({ format: '%J' }, { payload: Buffer.from('{"a":1}') }))
    expect(payload).toEqual({ a: 1 })
  })
})

describe('[CLI] the JSON of mosquitto_sub', () => {
  test('what %j writes is read again by pipe', () => {
    const { payload, topic } = PACKET
    expect(requestOfMosquitto(line(text({ format: '%j' }).trim()))).toEqual({
      ...{ cmd: 'publish', topic, qos: 1, retain: true, payload: payload.toString() },
      properties: {
        ...{ contentType: 'text/x', messageExpiryInterval: 9, payloadFormatIndicator: true },
        ...{ responseTopic: 'rt', correlationData: 'cd' },
        userProperties: { k: ['v', 'w'], l: 'x' },
      },
    })
  })

  test.each([
    ['"x"', 1, 'x'],
    ['"x"', 3, '"x"'],
    ['null', 0, ''],
    ['null', 4, 'null'],
    ['{"a":1}', 9, '{"a":1}'],
  ])('the payload %s of %d bytes', (payload, length, expected) => {
    const given = `{"tst":"","topic":"t","qos":0,"retain":0,"payloadlen":${length},"payload":${payload}}`
    expect(requestOfMosquitto(line(given))?.payload).toBe(expected)
  })

  test('a payload that is not there as a whole is refused', () => {
    const payload = Buffer.from([97, 255, 98])
    const bytes = Buffer.from(text({ format: '%j' }, { payload }).trim(), 'latin1')
    expect(() => requestOfMosquitto(line(bytes))).toThrow('line 3: the payload had 3 bytes')
  })

  test('a user property with two values is refused, as JSON keeps one of two equal names', () => {
    const given =
      '{"tst":"","topic":"t","qos":0,"retain":0,"payloadlen":1,' +
      '"properties":{"user-properties":{"k":"v","k":"w"}},"payload":"x"}'
    expect(() => requestOfMosquitto(line(given))).toThrow('several values')
  })

  test('other lines are left to others', () => {
    expect(requestOfMosquitto(line('{"cmd":"publish"}'))).toBeNull()
  })
})

test('[CLI] times are written as strftime(3) does', () => {
  const at = new Date(2021, 0, 3, 15, 4, 5, 67)
  const letters = 'a b d e H I j m M p S U V G W w u y Y N'.split(' ')
  expect(letters.map((letter) => strftime(letter, at)).join(' ')).toBe(
    'Sun Jan 03  3 15 03 003 01 04 PM 05 01 53 2020 00 0 7 21 2021 067000000',
  )
})
