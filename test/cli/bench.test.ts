/**
 * Goal: what a bench decides and says is right. Method: its pure parts, with tables and times that
 * the test gives; test/cli/bench-runs.test.ts runs the command before real servers.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { latencyMaker } from '../../src/cli/bench/latencies.ts'
import { checkMachine } from '../../src/cli/bench/machine-limits.ts'
import {
  milliseconds,
  perSecond,
  planOf,
  sizeRange,
  threshold,
  topicFor,
} from '../../src/cli/bench/plan.ts'
import { plot } from '../../src/cli/bench/plot.ts'
import { reportText } from '../../src/cli/bench/report-text.ts'
import { type BenchResult, remarksOn, statusOfResult } from '../../src/cli/bench/result.ts'
import { evenly, pairs, shareOf } from '../../src/cli/bench/schedule.ts'
import { SequenceTracker } from '../../src/cli/bench/sequence.ts'

const FLAGS = {
  clients: 1,
  startNumber: 1,
  warmUp: 0,
  ackTimeout: 1000,
  disconnectTimeout: 1000,
} as const

describe('[CLI] the schedule of a bench', () => {
  test('[CLI] bench: a member is due every 1000 / rate ms, whatever was sent', () => {
    const schedule = evenly(4, 1000, 6)
    const times = [999, 1000, 1249, 1250, 1999, 2000, 2250, 9999]
    expect(times.map((now) => schedule.dueBy(now))).toEqual([0, 1, 1, 2, 4, 5, 6, 6])
    expect([0, 1, 5].map((index) => schedule.timeOf(index))).toEqual([1000, 1250, 2250])
  })

  test('[CLI] bench: publishers take turns, and nothing is sent twice or left out', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.integer({ min: 1, max: 20 }), (total, parties) => {
        const shares = Array.from({ length: parties }, (_, party) => shareOf(total, party, parties))
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(total)
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test.each([
    [1, 3, [[0], [0], [0]]],
    [3, 1, [[0, 1, 2]]],
    [3, 2, [[0, 2], [1]]],
    [2, 2, [[0], [1]]],
  ])('[CLI] bench: %i publishers and %i subscribers are paired', (publishers, subscribers, all) => {
    expect(pairs(publishers, subscribers)).toEqual(all)
  })
})

describe('[CLI] the numbers of messages', () => {
  test('[CLI] bench: what is missing, late or repeated is told apart', () => {
    const tracker = new SequenceTracker(0)
    const arrivals = [0, 1, 5, 3, 3, 1, 6].map((number) => tracker.add(number))
    expect(arrivals).toEqual([
      ...['in order', 'in order', 'in order', 'late', 'repeated', 'repeated', 'in order'],
    ])
    expect(tracker.missing(0, 10)).toBe(2 + 3)
    expect(tracker.missing(4, 7)).toBe(1)
  })

  test('[CLI] bench: in any order, with losses and repetitions, the counts are exact', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 200 }), (numbers) => {
        const tracker = new SequenceTracker(0)
        const repeated = numbers.filter((number) => tracker.add(number) === 'repeated').length
        const distinct = new Set(numbers)
        expect(repeated).toBe(numbers.length - distinct.size)
        expect(tracker.missing(0, 61)).toBe(61 - distinct.size)
        expect(tracker.missing(10, 20)).toBe(
          10 - [...distinct].filter((one) => one >= 10 && one < 20).length,
        )
      }),
    )
  })
})

describe('[CLI] the latencies of a bench', () => {
  test('[CLI] bench: percentiles are exact to three digits, over all intervals', async () => {
    const latency = (await latencyMaker())()
    for (let ms = 1; ms <= 1000; ms++) {
      latency.record(ms)
      if (ms % 100 === 0) latency.cut()
    }
    const summary = latency.summary()!
    expect(summary).toMatchObject({ count: 1000 })
    expect(summary.mean).toBeCloseTo(500.5, 0)
    for (const [key, ms] of [
      ['p50', 500],
      ['p90', 900],
      ['p99', 990],
      ['max', 1000],
    ] as const) {
      expect(Math.abs(summary[key] - ms) / ms).toBeLessThan(0.002)
    }
    const points = latency.distribution()
    expect(points[0]!.percentile).toBe(0)
    expect(points.at(-1)!.percentile).toBeCloseTo(99.9, 1)
  })

  test('[CLI] bench: an empty collection has no figures, and nothing is too large', async () => {
    const latency = (await latencyMaker())()
    expect([latency.summary(), latency.cut(), latency.distribution()]).toEqual([null, null, []])
    latency.record(-5)
    latency.record(1e12)
    expect(latency.summary()).toMatchObject({ count: 2, p50: 0 })
  })
})

describe('[CLI] the flags of a bench', () => {
  test.each([
    ['500ms', 500],
    ['60s', 60_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['10', 10_000],
  ])('[CLI] bench: %s is %i ms', (text, ms) => {
    expect(milliseconds(text)).toBe(ms)
  })

  test('[CLI] bench: rates, sizes and limits are read', () => {
    expect([perSecond('1000/s'), perSecond('0.5')]).toEqual([1000, 0.5])
    expect([sizeRange('100'), sizeRange('1-9')]).toEqual([
      { min: 100, max: 100 },
      { min: 1, max: 9 },
    ])
    expect(threshold('p99.9=50ms')).toEqual([{ text: 'p99.9=50ms', percentile: 99.9, ms: 50 }])
    expect(threshold('max=1s')[0]).toMatchObject({ percentile: 100, ms: 1000 })
    for (const wrong of ['', 'x', '-1', '10 apples']) expect(() => milliseconds(wrong)).toThrow()
    for (const wrong of ['9-1', 'x', '-5']) expect(() => sizeRange(wrong)).toThrow()
    for (const wrong of ['p99', 'p99=', 'fast=1s']) expect(() => threshold(wrong)).toThrow()
    for (const wrong of ['0', '-1', '10/m']) expect(() => perSecond(wrong)).toThrow()
  })

  test.each([
    ['sub', {}, 'the topic is missing'],
    ['pub', { messages: 1, duration: 1 }, '--messages and --duration'],
    ['pub', { message: 'a', file: 'b' }, '-m and -f'],
    ['pub-sub', { size: { min: 10, max: 20 } }, 'at least 32 bytes'],
    ['pub', { clients: 2, clientId: 'same' }, '%i'],
    ['pub', { topic: ['a/#'] }, 'a/#'],
    ['conn', { L: 'mqtt://h/topic' }, '-L gives a topic'],
  ] as const)('[CLI] bench %s %j is refused', (kind, flags, message) => {
    expect(() => planOf(kind, { ...FLAGS, ...flags })).toThrow(message)
  })

  test('[CLI] bench: two runs have topics and clients of their own, and end their sessions', () => {
    const [one, two] = [planOf('pub', FLAGS), planOf('pub', FLAGS)]
    expect(one.topics).not.toEqual(two.topics)
    expect(one.optionsOf(0).clientId).not.toBe(two.optionsOf(0).clientId)
    expect(one.optionsOf(0).clientId).not.toBe(one.optionsOf(1).clientId)
    expect(one.optionsOf(0).sessionExpiryInterval).toBe(0)
  })

  test('[CLI] bench: topics have the client, its identifier and the user name', () => {
    expect(topicFor('a/%i/%c/%u/%x', 7, 'id-%i', 'anna')).toBe('a/7/id-%i/anna/%x')
  })

  test('[CLI] bench: clients take local addresses in turn', () => {
    const { optionsOf } = planOf('conn', { ...FLAGS, localAddress: ['127.0.0.2', '127.0.0.3'] })
    const addresses = [0, 1, 2].map((client) => optionsOf(client).localAddress)
    expect(addresses).toEqual(['127.0.0.2', '127.0.0.3', '127.0.0.2'])
  })

  test('[CLI] bench: a machine that cannot hold the connections is said, with a remedy', () => {
    const limits = 'Limit  Soft  Hard  Units\nMax open files            1024   4096   files\n'
    const texts = { limits, portRange: '32768\t33267\n' }
    expect(() => checkMachine(1000, 1, texts)).toThrow('ulimit -n')
    expect(checkMachine(900, 1, texts)).toMatch(/500.*ip_local_port_range.*-A/)
    expect(checkMachine(900, 2, texts)).toBeNull()
    expect(checkMachine(1_000_000, 1, { limits: '', portRange: '' })).toBeNull()
  })
})

const SUMMARY = { count: 9, mean: 1, p50: 1, p90: 2, p99: 30, p999: 400, max: 5000 }
const RESULT: BenchResult = {
  format: 1,
  bench: 'pub-sub',
  startedAt: '2026-01-01T00:00:00.000Z',
  server: 'mqtt://host?a=<b>&"c"',
  protocolVersion: 5,
  ended: 'done',
  model: 'open',
  setting: {
    ...{ publishers: 2, subscribers: 2, qos: 1, retain: false, sizeMin: 100, sizeMax: 100 },
    ...{ topics: ['t'], warmUpSeconds: 1, window: 20 },
  },
  seconds: 10,
  connections: { wanted: 4, connected: 4, failed: 0, lost: 0 },
  messages: {
    ...{ due: 100_000, sent: 100_000, unsent: 0, acknowledged: 100_000, failed: 0 },
    ...{ unanswered: 0, expected: 100_000, received: 100_000, lost: 0, duplicates: 0 },
    ...{ outOfOrder: 0, foreign: 0 },
  },
  perSecond: { connections: 0, wanted: 10_000, sent: 10_000, received: 10_000 },
  latencyMs: {
    ...{ connect: SUMMARY, acknowledgement: SUMMARY, acknowledgementFromSend: null },
    ...{ endToEnd: SUMMARY, endToEndFromSend: null, sendDelay: null },
  },
  process: {
    ...{ cpuUserSeconds: 4, cpuSystemSeconds: 1, cores: 0.5, cpuMicrosecondsEach: 25 },
    ...{ rssBytes: 1e8, busy: 0.5, eventLoopDelayMs: { p50: 0, p99: 1, max: 2 } },
  },
  errors: [],
  limitsExceeded: [],
  remarks: [],
  series: [0, 1, 2].map((second) => ({
    ...{ second, connected: 4, sent: 10, acknowledged: 10, received: 10, p99Ms: second || null },
  })),
  plotted: {
    name: 'end to end',
    points: [0, 50, 90, 99].map((percentile) => ({ percentile, ms: 1 })),
  },
}
const SLOW = {
  ...RESULT,
  messages: { ...RESULT.messages, unsent: 18_800, sent: 81_200 },
  perSecond: { ...RESULT.perSecond, sent: 8120 },
}

describe('[CLI] the result of a bench', () => {
  test('[CLI] bench: a rate that was not reached is said, and is a failure', () => {
    expect(remarksOn(SLOW)[0]).toMatch(/^The rate was not reached: 8,120 of 10,000 a second/)
    expect(statusOfResult(SLOW, undefined, 0)).toBe(1)
    expect(remarksOn(RESULT)).toEqual([])
    expect(statusOfResult(RESULT, undefined, 0)).toBe(0)
  })

  test('[CLI] bench: a closed loop says that its latencies are those of one', () => {
    expect(remarksOn({ ...RESULT, model: 'closed' })[0]).toMatch(/^This is a closed loop/)
  })

  test('[CLI] bench: it says when the bench itself is the limit', () => {
    const busy = { ...RESULT, process: { ...RESULT.process, busy: 0.97 } }
    expect(remarksOn(busy)[0]).toContain('busy 97 % of the time')
  })

  test('[CLI] bench: an error of the machine has a remedy', () => {
    const error = { during: 'connect', code: 'EADDRNOTAVAIL', count: 3, message: 'no' } as const
    expect(remarksOn({ ...RESULT, errors: [error] })[0]).toContain('ip_local_port_range')
  })

  test.each([
    [{ connections: { ...RESULT.connections, lost: 1 } }, 1],
    [{ connections: { ...RESULT.connections, connected: 3, failed: 1 } }, 1],
    [{ messages: { ...RESULT.messages, lost: 1 } }, 1],
    [{ messages: { ...RESULT.messages, unanswered: 1 } }, 1],
    [{ messages: { ...RESULT.messages, duplicates: 1 } }, 0],
    [{ limitsExceeded: ['p99=1ms, and it is 2 ms'] }, 1],
    [{ ended: 'timed-out' as const }, 27],
  ])('[CLI] bench: %j gives the status %i', (change, status) => {
    expect(statusOfResult({ ...RESULT, ...change }, undefined, 0)).toBe(status)
  })

  test('[CLI] bench: Ctrl-C wins over everything', () => {
    expect(statusOfResult(SLOW, undefined, 130)).toBe(130)
  })

  test('[CLI] bench: the report has the figures in columns', () => {
    const text = reportText({ ...RESULT, remarks: ['A remark.'] })
    expect(text).toContain('100,000 (10,000 of 10,000 wanted a second), 100,000 acknowledged')
    expect(text).toContain('100,000 of 100,000 (10,000 a second), 0 lost, 0 repeated, 0 late')
    expect(text).toMatch(/latency in ms +mean +p50 +p90 +p99 +p99\.9 +max\n/)
    expect(text).toMatch(/end to end +1\.000 +1\.000 +2\.000 +30\.0 +400 +5,000\n/)
    expect(text).toMatch(/A remark\.\n$/)
  })
})

describe('[CLI] the plot of a bench', () => {
  test.each([
    ['of messages', RESULT],
    ['of connections', { ...RESULT, bench: 'conn' as const }],
    ['of one second', { ...RESULT, series: RESULT.series.slice(1, 2) }],
    ['of nothing', { ...RESULT, series: [], plotted: { name: 'x', points: [] } }],
  ])('[CLI] bench: a plot %s is well-formed XML without a wrong number', (_, result) => {
    const svg = plot(result)
    expect(problemsOf(svg)).toEqual([])
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  })

  test('the check of XML bites', () => {
    expect(problemsOf('<a><b></a>')).not.toEqual([])
    expect(problemsOf('<a x="1" x="2"/>')).not.toEqual([])
    expect(problemsOf('<a>b & c</a>')).not.toEqual([])
    expect(problemsOf('<a x=1/>')).not.toEqual([])
    expect(problemsOf('<a x="&lt;">&amp;</a>')).toEqual([])
  })

  test('[CLI] bench: the axis of percentiles gives each nine the same room', () => {
    const ticks = ['0 %', '90 %', '99 %']
    const at = ticks.map((tick) =>
      Number(new RegExp(`x="([\\d.]+)"[^>]*>${tick}<`).exec(plot(RESULT))![1]),
    )
    expect(at[1]! - at[0]!).toBeCloseTo(at[2]! - at[1]!, 0)
  })
})

/** @returns what makes a text not well-formed XML, for XML without comments and CDATA. */
function problemsOf(xml: string): string[] {
  const problems: string[] = []
  const open: string[] = []
  let roots = 0
  for (const [piece, tag, content] of xml.matchAll(/<([^<>]*)>|([^<>]+)/g)) {
    if (content !== undefined) {
      if (/&(?!(amp|lt|gt|quot);)/.test(content)) problems.push(`entity: ${content}`)
      if (open.length === 0 && content.trim() !== '') problems.push(`outside: ${content}`)
      continue
    }
    const [, end, name, attributes, empty] =
      /^(\/?)([a-z]+)((?: [a-zA-Z-]+="[^"<&]*(?:&(?:amp|lt|gt|quot);[^"<&]*)*")*)(\/?)$/.exec(
        tag!,
      ) ?? []
    if (name === undefined) {
      problems.push(`tag: ${piece}`)
      continue
    }
    const names = [...attributes!.matchAll(/ ([a-zA-Z-]+)=/g)].map(([, one]) => one)
    if (new Set(names).size !== names.length) problems.push(`twice: ${piece}`)
    if (end === '/') {
      if (open.pop() !== name) problems.push(`nesting: ${piece}`)
    } else {
      if (open.length === 0) roots++
      if (empty !== '/') open.push(name)
    }
  }
  if (open.length > 0 || roots !== 1) problems.push(`${open.length} open, ${roots} roots`)
  return problems
}
