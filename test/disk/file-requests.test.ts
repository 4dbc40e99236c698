/**
 * A file as a request stream. Goal: every line is handed out once for each time it needs to be, and a later life goes on at the
 * first without an outcome, whatever becomes of the file meanwhile. Method: real files, read, settled in any order, ended
 * anywhere.
 */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  FileRequests,
  type FileRequestsOptions,
  type FileWarning,
  fileRequests,
  type Line,
  readOnce,
} from '../../src/disk/index.ts'
import { StorageError, UsageError } from '../../src/errors.ts'
import { publish } from '../../src/requests/build.ts'
import type { Outcome, Request, SentRequest } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { temporaryFolder, until } from '../support/process.ts'

const OK: Outcome = { ok: true }
const lineOf = (payload: string | number) =>
  JSON.stringify(publish('t', String(payload), { qos: 1 }))
const linesOf = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${lineOf(from + i)}\n`).join('')

let folder: ReturnType<typeof temporaryFolder>
let file: string
let checkpoint: string
beforeEach(() => {
  folder = temporaryFolder()
  file = join(folder.path, 'lines')
  checkpoint = join(folder.path, 'checkpoint')
})
afterEach(() => folder.remove())

function open(options: FileRequestsOptions = {}, path = file): FileRequests {
  const lines = fileRequests(path, options)
  onTestFinished(() => lines.close())
  return lines
}

const payloadOf = (request: Request) => String((request as { payload?: unknown }).payload)

async function all(lines: FileRequests): Promise<SentRequest[]> {
  const found: SentRequest[] = []
  for await (const requests of lines) found.push(...(requests as SentRequest[]))
  return found
}

/** Reads until `count` requests came, and leaves. */
async function some(lines: FileRequests, count: number): Promise<SentRequest[]> {
  const found: SentRequest[] = []
  const iterator = lines[Symbol.asyncIterator]()
  while (found.length < count) {
    const { value, done } = await iterator.next()
    if (done) break
    found.push(...(value as SentRequest[]))
  }
  void iterator.return?.()
  return found
}

describe('fileRequests', () => {
  test('NDJSON: each line is a request, its key the offset of its first byte; blank lines are none', async () => {
    writeFileSync(file, `\ufeff${lineOf('ä')}\r\n\n  \n${lineOf(2)}\n{"cmd":"ping"}\n${lineOf(3)}`)
    const found = await all(open())
    expect(found.map(({ cmd }) => cmd)).toEqual(['publish', 'publish', 'ping', 'publish'])
    const bytes = readFileSync(file)
    for (const { key, ...request } of found) {
      expect(
        bytes
          .subarray(key as number)
          .toString()
          .replace('\ufeff', ''),
      ).toMatch(new RegExp(`^${JSON.stringify(request).replace(/[{}[\]]/g, '\\$&')}`))
    }
  })

  test('parse makes requests of anything else, with the number of the line; null is none', async () => {
    writeFileSync(file, 'a,1\n#\n\nb,2\n')
    const parse = (line: string, number: number) =>
      line.startsWith('#') ? null : publish(line.split(',')[0] || 'blank', `${line} ${number}`)
    expect((await all(open({ parse }))).map(payloadOf)).toEqual(['a,1 1', ' 3', 'b,2 4'])
  })

  test('.gz is unpacked; keys are offsets of what was packed', async () => {
    writeFileSync(`${file}.gz`, gzipSync(linesOf(0, 5000)))
    const found = await all(open({}, `${file}.gz`))
    expect(found.map(payloadOf)).toEqual(Array.from({ length: 5000 }, (_, i) => String(i)))
    expect(found[1]?.key).toBe(lineOf(0).length + 1)
  })

  test('gzip is known by its first bytes, and what other programs packed is refused', async () => {
    writeFileSync(file, gzipSync(linesOf(0, 10)))
    expect((await all(open())).map(payloadOf)).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`))
    writeFileSync(file, Buffer.from('28b52ffd0458', 'hex'))
    await expect(all(open())).rejects.toThrow(
      /lines is packed with zstd; unpack it first: zstd -dc/,
    )
    writeFileSync(file, 'BZh9 is a text\n')
    expect((await all(open({ parse: (line) => publish('t', line) }))).map(payloadOf)).toHaveLength(
      1,
    )
  })

  test('a .gz that was cut off: the lines before are read, and the error says where', async () => {
    const packed = gzipSync(linesOf(0, 20_000))
    writeFileSync(`${file}.gz`, packed.subarray(0, packed.length / 2))
    const found: string[] = []
    const reading = (async () => {
      for await (const requests of open({}, `${file}.gz`)) found.push(...requests.map(payloadOf))
    })()
    await expect(reading).rejects.toMatchObject({ code: 'DAMAGED' })
    await expect(reading).rejects.toThrow(/lines\.gz is cut off .* at byte \d+ of the file/)
    expect(found.length).toBeGreaterThan(1_000)
    expect(found).toEqual(Array.from({ length: found.length }, (_, i) => String(i)))
  })

  test('a byte order mark is not a part of the first payload, packed or not', async () => {
    const text = '\ufeffone\ntwo\n'
    const options = { parse: (line: string) => publish('t', line) }
    for (const bytes of [text, gzipSync(text)]) {
      writeFileSync(file, bytes)
      expect((await all(open(options))).map(payloadOf)).toEqual(['one', 'two'])
    }
  })

  test('a FIFO is read once, and the wait for its writer can be ended', async () => {
    execFileSync('mkfifo', [file])
    await expect(all(open())).rejects.toThrow(/is a FIFO, which can be read once: pass readOnce/)
    const parseLine = ({ bytes }: Line) => publish('t', bytes.toString())
    const stream = () => new FileRequests({ source: readOnce(file), options: {}, parseLine })
    const ended = stream()
    const iterator = ended[Symbol.asyncIterator]()
    const waiting = iterator.next()
    await iterator.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    const lines = stream()
    const reading = all(lines)
    await writeFile(file, '1\n2')
    expect((await reading).map(payloadOf)).toEqual(['1', '2'])
    expect(lines.ended).toBe(true)
  })

  test('[S3] memory is flat: reading goes no further than it is asked to', async () => {
    writeFileSync(file, linesOf(0, 100_000))
    const lines = open()
    await some(lines, 1)
    expect(lines.offset).toBeLessThan(200_000)
    expect(lines.unsettled).toBeLessThan(1000)
  })

  const wrong: [string, string, RegExp][] = [
    ['no JSON', '{"cmd":', /lines:3: no request: .*JSON/],
    ['no object', '[1]', /lines:3: no request: an object with cmd is expected/],
    ['no request', '{"cmd":"publish","topic":"a/#"}', /lines:3: no request: .*publish\.topic/],
    ['no UTF-8', '\xff', /lines:3: no request: the line is not UTF-8/],
  ]
  test.each(wrong)('a line with %s is thrown after what precedes it', async (_, line, message) => {
    writeFileSync(file, `${linesOf(0, 2)}${line}\n${linesOf(2, 3)}`, 'latin1')
    const found: string[] = []
    const reading = (async () => {
      for await (const requests of open()) found.push(...requests.map(payloadOf))
    })()
    await expect(reading).rejects.toThrow(UsageError)
    await expect(reading).rejects.toMatchObject({ code: 'INVALID_LINE' })
    await expect(reading).rejects.toThrow(message)
    expect(found).toEqual(['0', '1'])
  })

  test.each(wrong)(
    'a line with %s is handed to onInvalid, and the others are read',
    async (_, line, message) => {
      writeFileSync(file, `${linesOf(0, 2)}${line}\n${linesOf(2, 3)}`, 'latin1')
      const errors: Error[] = []
      const found = await all(open({ onInvalid: (error) => errors.push(error) }))
      expect(found.map(payloadOf)).toEqual(['0', '1', '2'])
      expect(errors.map((error) => error.message)).toEqual([expect.stringMatching(message)])
    },
  )

  test('what `parse` throws is reported with the line', async () => {
    writeFileSync(file, 'a\n')
    const parse = () => {
      throw new RangeError('mine')
    }
    await expect(all(open({ parse }))).rejects.toThrow(/lines:1: no request: mine/)
  })

  test.each<[string, () => FileRequests, RegExp]>([
    ['no such file', () => open({}, 'missing'), /ENOENT/],
    ['a directory', () => open({}, folder.path), /is a directory/],
    [
      'a .gz that is none',
      () => {
        writeFileSync(`${file}.gz`, 'x')
        return open({}, `${file}.gz`)
      },
      /cannot be unpacked/,
    ],
  ])('%s is a UsageError', async (_, opened, message) => {
    const reading = all(opened())
    await expect(reading).rejects.toThrow(UsageError)
    await expect(reading).rejects.toThrow(message)
  })

  test.each<[unknown, RegExp]>([
    [{ parse: 1 }, /parse must be a function/],
    [{ checkpoint: 1 }, /checkpoint must be a path/],
    [{ follow: 'yes' }, /follow must be true or false/],
    [{ growing: 1 }, /growing must be true or false/],
    [{ onWarning: 1 }, /onWarning must be a function/],
    [{ follow: true, growing: false }, /a file that is followed may grow/],
    [{ folow: true }, /no option "folow"/],
  ])('options %j are refused', (options, message) => {
    expect(() => fileRequests(file, options as never)).toThrow(message)
    expect(() => fileRequests(`${file}.gz`, { follow: true })).toThrow(/does not grow/)
    expect(() => fileRequests('', {})).toThrow(/a path/)
  })

  test('one iteration at a time; the next begins at the first line without an outcome', async () => {
    writeFileSync(file, linesOf(0, 300))
    const lines = open()
    const iterator = lines[Symbol.asyncIterator]()
    await iterator.next()
    expect(() => lines[Symbol.asyncIterator]()).toThrow(/another loop reads it/)
    await iterator.return?.()
    const found = await some(lines, 200)
    for (const request of found) {
      if (payloadOf(request) !== '7' && payloadOf(request) !== '20') lines.settled(request, OK)
    }
    const rest = await all(lines)
    const settledTo = Number(payloadOf(found.at(-1)!))
    expect(rest.map(payloadOf).slice(0, 3)).toEqual(['7', '20', String(settledTo + 1)])
    expect(lines.ended).toBe(true)
  })
})

describe('[S1] checkpoint', () => {
  test('any lines settled, in any order, over any number of lives: each is handed out until it is', async () => {
    const lives = fc.array(
      fc.record({
        read: fc.integer({ min: 1, max: 400 }),
        settle: fc.array(fc.boolean(), { minLength: 7, maxLength: 97 }),
      }),
      { minLength: 1, maxLength: 5 },
    )
    const property = fc.asyncProperty(lives, fc.boolean(), async (lived, packed) => {
      const path = packed ? `${file}.gz` : file
      const text = linesOf(0, 300).replace(/(.{500}\n)/g, '$1\n')
      writeFileSync(path, packed ? gzipSync(text) : text)
      rmSync(checkpoint, { force: true })
      const settled = new Set<string>()
      for (const { read, settle } of lived) {
        const lines = fileRequests(path, { checkpoint })
        const found = await some(lines, read)
        for (const request of found) expect(settled).not.toContain(payloadOf(request))
        const ended = found.filter((request) => settle[Number(payloadOf(request)) % settle.length])
        await Promise.all(ended.map((request) => lines.settled(request, OK)))
        for (const request of ended) settled.add(payloadOf(request))
        await lines.close()
      }
      const left = Array.from({ length: 300 }, (_, i) => String(i)).filter((i) => !settled.has(i))
      const last = fileRequests(path, { checkpoint })
      expect((await all(last)).map(payloadOf)).toEqual(left)
      await last.close()
    })
    await fc.assert(property, { numRuns: 30 })
  })

  test('keeps the offset below which everything is settled, as a whole file', async () => {
    writeFileSync(file, linesOf(0, 10))
    const lines = open({ checkpoint })
    const found = await all(lines)
    await Promise.all([0, 1, 2, 5].map((i) => lines.settled(found[i]!, OK)))
    const kept = JSON.parse(readFileSync(checkpoint, 'utf8'))
    expect(kept).toMatchObject({
      offset: found[3]!.key,
      line: 11,
      readThrough: 10 * (lineOf(0).length + 1),
    })
    expect(existsSync(`${checkpoint}.tmp`)).toBe(false)
  })

  test('[D7] an outcome is confirmed once it is on disk', async () => {
    writeFileSync(file, linesOf(0, 2))
    const lines = open({ checkpoint })
    const [one] = await all(lines)
    const confirmed = lines.settled(one!, OK)
    expect(JSON.parse(readFileSync(checkpoint, 'utf8')).offset).toBe(0)
    await confirmed
    expect(JSON.parse(readFileSync(checkpoint, 'utf8')).offset).toBe(lineOf(0).length + 1)
    expect(lines.settled(one!, OK)).toBeUndefined()
  })

  test('[D7] outcomes of lines that an earlier life read after its last checkpoint: not handed out again', async () => {
    writeFileSync(file, linesOf(0, 6))
    const first = open({ checkpoint })
    const found = await all(first)
    await first.close()
    rmSync(checkpoint)
    const again = open({ checkpoint })
    let confirmed = 0
    const gone = [1, 4].map(async (i) => {
      await again.settled(found[i]!, OK)
      confirmed++
    })
    const rest = await all(again)
    expect(rest.map(payloadOf)).toEqual(['0', '2', '3', '5'])
    await Promise.all(gone)
    expect(confirmed).toBe(2)
    await again.close()
    expect((await all(open({ checkpoint }))).map(payloadOf)).toEqual(['0', '2', '3', '5'])
  })

  test('goes on behind its end where the file has grown', async () => {
    writeFileSync(file, linesOf(0, 3))
    const first = open({ checkpoint })
    await Promise.all((await all(first)).map((request) => first.settled(request, OK)))
    await first.close()
    appendFileSync(file, linesOf(3, 5))
    expect((await all(open({ checkpoint }))).map(payloadOf)).toEqual(['3', '4'])
  })

  test('a last line without a line end waits for its rest, unless the file will not grow', async () => {
    const whole = lineOf(1)
    writeFileSync(file, `${linesOf(0, 1)}${whole.slice(0, 9)}`)
    const warnings: string[] = []
    const onWarning = ({ code, message }: FileWarning) => warnings.push(`${code} ${message}`)
    const run = async (options: FileRequestsOptions) => {
      const lines = open({ checkpoint, onWarning, ...options })
      const found = await all(lines)
      await Promise.all(found.map((request) => lines.settled(request, OK)))
      await lines.close()
      return found.map(payloadOf)
    }
    expect(await run({})).toEqual(['0'])
    expect(warnings).toEqual([
      expect.stringMatching(
        /^LINE_UNFINISHED .*lines:2: the last line \(9 bytes\) has no line end/,
      ),
    ])
    appendFileSync(file, whole.slice(9))
    expect(await run({})).toEqual([])
    expect(await run({ growing: false })).toEqual(['1'])
    expect(await run({})).toEqual([])
    expect(warnings).toHaveLength(2)
  })

  test('another file, or one that has changed, is refused; what is kept stays', async () => {
    writeFileSync(file, linesOf(0, 10))
    const first = open({ checkpoint })
    await first.settled((await some(first, 5))[0]!, OK)
    await first.close()
    const before = readFileSync(checkpoint)
    writeFileSync(file, linesOf(10, 20))
    const reading = all(open({ checkpoint }))
    await expect(reading).rejects.toMatchObject({ code: 'FILE_GONE' })
    await expect(reading).rejects.toThrow(/is not that file or has changed; give the right file/)
    expect(readFileSync(checkpoint)).toEqual(before)
    writeFileSync(file, linesOf(0, 10))
    expect((await all(open({ checkpoint }))).map(payloadOf)[0]).toBe('1')
  })

  test.each(['{', '{"format":9}'])(
    'one that is damaged (%j) or foreign is refused',
    async (text) => {
      writeFileSync(file, linesOf(0, 1))
      writeFileSync(checkpoint, text)
      await expect(all(open({ checkpoint }))).rejects.toThrow(
        /is no checkpoint of format 1, or damaged/,
      )
    },
  )

  test('a place that cannot be written is an error before anything is handed out', async () => {
    writeFileSync(file, linesOf(0, 1))
    const reading = all(open({ checkpoint: join(folder.path, 'nowhere', 'checkpoint') }))
    await expect(reading).rejects.toThrow(StorageError)
    await expect(reading).rejects.toThrow(/The checkpoint .* could not be locked: ENOENT/)
  })
})

describe('[S1] follow', () => {
  /** Reads and settles for ever, into a list. */
  function following(options: FileRequestsOptions = {}) {
    const lines = open({ follow: true, ...options })
    const found: string[] = []
    const keys: number[] = []
    const iterator = lines[Symbol.asyncIterator]()
    const reading = (async () => {
      for (;;) {
        const { value, done } = await iterator.next()
        if (done) return
        for (const request of value as SentRequest[]) {
          found.push(payloadOf(request))
          keys.push(request.key as number)
          void lines.settled(request, OK)
        }
      }
    })()
    const stop = async () => {
      await iterator.return?.()
      await reading
      await lines.close()
    }
    return {
      lines,
      found,
      keys,
      stop,
      reading,
      until: (n: number) => until(() => found.length >= n, `${n} lines`),
    }
  }
  const range = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => String(from + i))

  test('a file that is not there yet, grows, and ends in the middle of a line for a while', async () => {
    const tail = following()
    writeFileSync(file, linesOf(0, 2))
    await tail.until(2)
    const [begin, end] = [lineOf(2).slice(0, 9), lineOf(2).slice(9)]
    appendFileSync(file, begin)
    appendFileSync(file, `${end}\n${lineOf(3)}\n`)
    await tail.until(4)
    await tail.stop()
    expect(tail.found).toEqual(range(0, 4))
  })

  test('one that is replaced is read to its end first; keys go on ascending', async () => {
    writeFileSync(file, linesOf(0, 3))
    const tail = following({ checkpoint })
    await tail.until(3)
    renameSync(file, `${file}.1`)
    appendFileSync(`${file}.1`, linesOf(3, 5))
    writeFileSync(file, linesOf(5, 7))
    await tail.until(7)
    renameSync(file, `${file}.2`)
    writeFileSync(file, linesOf(7, 9))
    await tail.until(9)
    await tail.stop()
    expect(tail.found).toEqual(range(0, 9))
    expect(tail.keys).toEqual([...tail.keys].sort((a, b) => a - b))
    expect(new Set(tail.keys).size).toBe(9)
  })

  test('one that is truncated begins anew', async () => {
    writeFileSync(file, linesOf(0, 50))
    const tail = following({ checkpoint })
    await tail.until(50)
    truncateSync(file)
    appendFileSync(file, linesOf(50, 53))
    await tail.until(53)
    await tail.stop()
    expect(tail.found).toEqual(range(0, 53))
    expect(new Set(tail.keys).size).toBe(53)
  })

  test('a later life goes on in the file that was replaced meanwhile, and then in its successor', async () => {
    writeFileSync(file, linesOf(0, 10))
    const first = open({ follow: true, checkpoint })
    const found = await some(first, 10)
    for (const i of [0, 1, 2, 3, 6]) await first.settled(found[i]!, OK)
    await first.close()
    renameSync(file, `${file}.1`)
    appendFileSync(`${file}.1`, linesOf(10, 12))
    writeFileSync(file, linesOf(12, 14))
    const second = following({ checkpoint })
    await second.until(9)
    await second.stop()
    expect(second.found).toEqual(['4', '5', '7', '8', '9', '10', '11', '12', '13'])
    appendFileSync(file, linesOf(14, 15))
    const third = following({ checkpoint })
    await third.until(1)
    await third.stop()
    expect(third.found).toEqual(['14'])
  })

  test('lines without an outcome in a file that was replaced come first, from there', async () => {
    writeFileSync(file, linesOf(0, 4))
    const first = open({ follow: true, checkpoint })
    const iterator = first[Symbol.asyncIterator]()
    const found = [...(((await iterator.next()).value ?? []) as SentRequest[])]
    const next = iterator.next()
    renameSync(file, `${file}.1`)
    writeFileSync(file, linesOf(4, 6))
    found.push(...((await next).value as SentRequest[]))
    expect(found.map(payloadOf)).toEqual(range(0, 6))
    for (const i of [0, 2, 3, 5]) await first.settled(found[i]!, OK)
    await iterator.return?.()
    await first.close()
    expect(JSON.parse(readFileSync(checkpoint, 'utf8')).generations).toHaveLength(2)
    const second = following({ checkpoint })
    await second.until(2)
    await second.stop()
    expect(second.found).toEqual(['1', '4'])
  })

  test('a file that is gone is reported, and the one in its place is read from its beginning', async () => {
    writeFileSync(file, linesOf(0, 10))
    const first = open({ follow: true, checkpoint })
    await first.settled((await some(first, 5))[0]!, OK)
    await first.close()
    rmSync(file)
    // Beside it, so that the system cannot give it the same place.
    writeFileSync(`${file}.new`, linesOf(20, 22))
    copyFileSync(`${file}.new`, file)
    await expect(all(open({ follow: true, checkpoint }))).rejects.toMatchObject({
      code: 'FILE_GONE',
    })
    const errors: UsageError[] = []
    const tail = following({ checkpoint, onInvalid: (error) => errors.push(error) })
    await tail.until(2)
    await tail.stop()
    expect(tail.found).toEqual(['20', '21'])
    expect(errors.map(({ code }) => code)).toEqual(['FILE_GONE'])
  })

  test('a change is noticed when the system reports it: no time passes', async () => {
    const tail = following({ platform: new VirtualClock() })
    let written = 0
    await until(() => {
      // The first lines may come before the folder is watched.
      appendFileSync(file, linesOf(written, ++written))
      return tail.found.length > 10
    }, 'lines')
    await tail.stop()
    expect(tail.found).toEqual(range(0, tail.found.length))
  })

  test('a line that nobody finishes is sent when its file is not watched any more', async () => {
    const platform = new VirtualClock()
    writeFileSync(file, `${linesOf(0, 1)}${lineOf(1)}`)
    const tail = following({ platform, watch: false })
    const passed = (lines: number) =>
      until(async () => {
        await platform.advance(10_000)
        return tail.found.length >= lines
      }, 'lines')
    await passed(1)
    renameSync(file, `${file}.1`)
    writeFileSync(file, linesOf(2, 3))
    await passed(2)
    expect(tail.found).toEqual(['0', '2'])
    await passed(3)
    expect(platform.elapsed).toBeGreaterThan(600_000)
    appendFileSync(file, linesOf(3, 4))
    await passed(4)
    await tail.stop()
    expect(tail.found).toEqual(['0', '2', '1', '3'])
  })

  test('[N4] nothing is left when it ends, wherever it waits', async () => {
    writeFileSync(file, linesOf(0, 1))
    const lines = open({ follow: true })
    const iterator = lines[Symbol.asyncIterator]()
    await iterator.next()
    const waiting = iterator.next()
    await iterator.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await lines.close()
  })
})
