/**
 * Goal: whatever topics and payloads hold, the screen is never broken. Method: properties over any
 * text, any size of a terminal and any mode.
 */
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import { layoutOf } from '../../src/cli/top/columns.ts'
import { connectionText } from '../../src/cli/top/connection-text.ts'
import { frameLines, pageRows, withinText } from '../../src/cli/top/frame.ts'
import { rowsOf } from '../../src/cli/top/rows.ts'
import { fitted, wrapped } from '../../src/cli/top/safe-text.ts'
import { INITIAL, type ScreenState, settled } from '../../src/cli/top/screen-state.ts'
import { Traffic } from '../../src/cli/top/traffic.ts'
import { amount, payloadLines, payloadText, shortDuration } from '../../src/cli/top/value-text.ts'
import type { IncomingPublish, LoopState } from '../../src/index.ts'

type Frame = Parameters<typeof frameLines>[0]

const STATUS = { server: 'mqtt://h', connection: 'connected', lagMs: 1, waiting: 0 }

function frameOf(traffic: Traffic, state: ScreenState, columns: number, height: number): Frame {
  const rows = rowsOf(traffic, state, 100)
  const frame = {
    ...{ traffic, rows, columns, height, now: 100, epoch: 0, hasColor: true },
    state: settled(state, rows, pageRows(height)),
    status: { ...STATUS, isConnected: true },
  }
  return { ...frame, state: withinText(frame) }
}

function added(traffic: Traffic, topic: string, payload: Uint8Array, properties = {}): void {
  const rest = { cmd: 'publish', qos: 1, retain: true, dup: false } as const
  traffic.add({ ...rest, topic, payload, properties } as IncomingPublish, 0, false, true)
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.constantFrom(
    '\x1b[2J\x1b]0;title\x07',
    '世界'.repeat(20),
    '\u202egnp.exe',
    '👩‍👩‍👧',
    '\x9b31m',
  ),
)
/** Only what `paint` writes: bold, dim, reverse, green, red and their ends. */
const OWN_STYLES = /\x1b\[(?:1|2|7|22|27|31|32|39)m/g
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/u

describe('[CLI] top: the screen', () => {
  test('[CLI] top: no text reaches the terminal as more than text', () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 2, max: 80 }), (text, columns) => {
        const whole = wrapped(text, 1_000_000, 1).join('')
        expect(whole).not.toMatch(UNSAFE)
        expect(stringWidth(fitted(text, columns))).toBe(columns)
        expect(stringWidth(fitted(text, columns, 'right'))).toBe(columns)
        const lines = wrapped(text, columns, 1_000)
        expect(lines.join('')).toBe(whole)
        for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(columns)
      }),
      { numRuns: 500 },
    )
  })

  test('[CLI] top: every screen has its size, in every mode and on every terminal', () => {
    const entry = fc.tuple(anyText, fc.oneof(anyText, fc.uint8Array({ maxLength: 80 })))
    const mode = fc.constantFrom<ScreenState['mode']>(
      { kind: 'tree' },
      { kind: 'filter', before: '' },
      { kind: 'details', scroll: 3 },
      { kind: 'help', scroll: 1_000 },
      { kind: 'clear', topics: ['x'], question: 'Remove \x1b[2J?' },
    )
    const size = fc.tuple(fc.integer({ min: 2, max: 250 }), fc.integer({ min: 1, max: 40 }))
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 12 }), mode, size, anyText, (all, m, size, note) => {
        const traffic = new Traffic(10, 0)
        for (const [topic, payload] of all) {
          const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
          added(traffic, topic || 'x', bytes, { userProperties: { [note]: note } })
        }
        const folds = { depth: 99, others: new Map() }
        const state = { ...INITIAL, mode: m, folds, note, isPaused: false }
        const [columns, height] = size
        const lines = frameLines(frameOf(traffic, state, columns, height))
        expect(lines).toHaveLength(height)
        for (const line of lines) {
          expect(stringWidth(line), JSON.stringify(line)).toBeLessThanOrEqual(columns)
          expect(line.replace(OWN_STYLES, '')).not.toMatch(UNSAFE)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('[CLI] top: a terminal of 40 columns shows topic, rate, age and value', () => {
    const traffic = new Traffic(10, 0)
    added(traffic, 'plant/temp', Buffer.from('21.5'))
    const lines = frameLines(frameOf(traffic, INITIAL, 40, 9)).map(stripVTControlCharacters)
    expect(lines.slice(2, 5)).toEqual([
      'topic            msg/s  age last value  ',
      '▾ plant/             1   0s             ',
      '   temp              1   0s 21.5        ',
    ])
    expect(layoutOf(160).shown).toHaveLength(9)
  })

  test('[CLI] top: a pause is said, with what came meanwhile; so is what is not shown', () => {
    const traffic = new Traffic(1, 0)
    added(traffic, 'a', Buffer.from('1'))
    traffic.freeze(0)
    for (const topic of ['a', 'b', 'c']) added(traffic, topic, Buffer.from('2'))
    const [, totals, , row] = frameLines(frameOf(traffic, INITIAL, 200, 9))
    expect(totals).toContain('PAUSED, 3 more  1 message  ')
    expect(totals).toContain('not shown: 2 messages of 2 topics (--max-topics)')
    expect(stripVTControlCharacters(row!)).toMatch(/^ {2}a .* 1 *$/)
  })

  test('[CLI] top: without colors nothing is colored', () => {
    const frame = frameOf(new Traffic(1, 0), INITIAL, 80, 9)
    expect(frameLines(frame).join('')).toContain('\x1b[32m')
    expect(frameLines({ ...frame, hasColor: false }).join('')).not.toMatch(/\x1b\[3\dm/)
  })
})

describe('[CLI] top: words', () => {
  const text = (payload: string | Uint8Array, length?: number) => {
    const bytes = Buffer.from(payload as string)
    return payloadText(bytes, length ?? bytes.length)
  }

  test.each([
    ['', '(empty)'],
    [' 21.5\n', '21.5'],
    ['{ "a" : [1, 2],\n "b c" : "x  y" }', '{"a":[1,2],"b c":"x  y"}'],
    ['{"n":12345678901234567890}', '{"n":12345678901234567890}'],
    ['a\x1b[31mred', 'a\x1b[31mred'],
    [new Uint8Array([0, 255]), '0x00ff (2 bytes)'],
    [new Uint8Array([1, 2, 3]), '0x010203 (3 bytes)'],
    [new Uint8Array(40).fill(255), `0x${'ff'.repeat(32)}… (40 bytes)`],
  ])('[CLI] top: a payload in one line: %j', (payload, expected) => {
    expect(text(payload)).toBe(expected)
  })

  test('[CLI] top: a text that is cut off within a character stays a text', () => {
    const bytes = Buffer.from('世界').subarray(0, 4)
    expect(payloadText(bytes, 2_000)).toBe('世… (2k bytes)')
    expect(payloadText(bytes, 4)).toBe('0xe4b896e7 (4 bytes)')
  })

  test('[CLI] top: the details show JSON indented unless a number would change, and hex dumps', () => {
    const lines = (payload: string | Uint8Array) => {
      const bytes = Buffer.from(payload as string)
      return payloadLines(bytes, bytes.length)
    }
    expect(lines('{"a": 1}')).toEqual(['{', '  "a": 1', '}'])
    expect(lines('{"a": 12345678901234567890}')).toEqual(['{"a": 12345678901234567890}'])
    expect(lines(new Uint8Array([0, 65]))).toEqual([`0000  00 41${' '.repeat(42)}  .A`])
  })

  test('[CLI] top: amounts have at most five characters, times at most four', () => {
    const amounts = fc.double({ min: 0, max: 1e17, noNaN: true })
    fc.assert(fc.property(amounts, (value) => amount(value).length <= 5))
    fc.assert(
      fc.property(fc.integer({ min: -5, max: 1e14 }), (ms) => shortDuration(ms).length <= 4),
    )
    const values = [0, 0.01, 0.3, 1, 9.96, 999.4, 999.5, 1234, 99_950, 1e6]
    const expected = ['0', '<0.1', '0.3', '1', '10', '999', '1k', '1.2k', '100k', '1M']
    expect(values.map(amount)).toEqual(expected)
  })

  test('[CLI] top: the state of the connection is said, and what comes next', () => {
    const reason = { message: 'The server closed\nthe connection' }
    const said = (connection: object, reconnections = {}) =>
      connectionText({ connection, counters: { reconnections } } as unknown as LoopState, 1_000)
    const lost = { kind: 'disconnected', reason, retryAt: 3_400 }
    expect(said({ kind: 'connected', reason: null, protocolVersion: 4 })).toBe(
      'connected (MQTT 3.1.1)',
    )
    expect(said({ kind: 'connected', reason, protocolVersion: 5 }, { A: 1, B: 2 })).toBe(
      'connected (MQTT 5), lost 3 times before',
    )
    expect(said(lost)).toBe(
      'connection lost, next attempt in 3 s: The server closed the connection',
    )
    expect(said({ kind: 'connecting', reason: null })).toBe('connecting')
  })
})
