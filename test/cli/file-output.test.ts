/**
 * Goal: a record is in the file as a whole or not at all, and a full disk is waited for. Method: a
 * disk with so much room, in memory and on virtual time; output.test.ts has real ones.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { FileOutput } from '../../src/cli/file-output.ts'

/** How often a full disk is tried again. */
const RETRY_MS = 500

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const failure = (code: string) => Object.assign(new Error(code), { code, syscall: 'write' })

/** A file on a disk; `room` bytes are left. */
function disk(room: number, code = 'ENOSPC') {
  const said: string[] = []
  const state = { text: '', room, code, said, now: 0 }
  const file = new FileOutput({
    write: (bytes) => {
      if (state.room === 0) throw failure(state.code)
      const taken = bytes.subarray(0, state.room)
      state.text += Buffer.from(taken).toString()
      state.room -= taken.length
      return taken.length
    },
    cut: (torn) => {
      const text = Buffer.from(torn).toString()
      if (!state.text.endsWith(text)) return false
      state.text = state.text.slice(0, -text.length)
      return true
    },
    say: (line) => said.push(line),
    now: () => state.now,
  })
  return { file, state, write: (text: string) => file.write(Buffer.from(text)) }
}

/** Notes whether a promise has settled, and how. */
function watched(promise: Promise<void> | undefined): { done: boolean; error: unknown } {
  const seen = { done: promise === undefined, error: undefined as unknown }
  promise?.then(
    () => Object.assign(seen, { done: true }),
    (error) => Object.assign(seen, { done: true, error }),
  )
  return seen
}

describe('[CLI] P2, a file on standard output', () => {
  test('[CLI] P2: a record that fits is written immediately, without a promise', () => {
    const { state, write } = disk(100)
    expect(write('one\n')).toBeUndefined()
    expect(write('two\n')).toBeUndefined()
    expect(state.text).toBe('one\ntwo\n')
  })

  test('[CLI] P2: a short write is not taken for a whole one; the rest comes when there is room', async () => {
    const { state, write } = disk(6)
    write('one\n')
    const two = watched(write('two\n'))
    const three = watched(write('three\n'))
    await vi.advanceTimersByTimeAsync(10 * RETRY_MS)
    expect([state.text, two.done, three.done]).toEqual(['one\ntw', false, false])
    expect(state.said).toHaveLength(1)
    expect(state.said[0]).toMatch(/the disk is full \(ENOSPC\).*waiting for room/)
    state.room = 5
    await vi.advanceTimersByTimeAsync(RETRY_MS)
    expect([state.text, two.done, three.done]).toEqual(['one\ntwo\nthr', true, false])
    state.room = 100
    await vi.advanceTimersByTimeAsync(RETRY_MS)
    expect([state.text, three.done, three.error]).toEqual(['one\ntwo\nthree\n', true, undefined])
    expect(write('four\n')).toBeUndefined()
  })

  test('[CLI] P2: full and room again within seconds is said once', async () => {
    const { state, write } = disk(0, 'EDQUOT')
    for (const text of ['a', 'b', 'c']) {
      const written = watched(write(text))
      state.room = 1
      await vi.advanceTimersByTimeAsync(RETRY_MS)
      expect(written.done).toBe(true)
    }
    expect(state.said).toHaveLength(2)
    expect(state.said[0]).toContain('EDQUOT')
    state.now = 60_000
    watched(write('d'))
    expect(state.said).toHaveLength(3)
  })

  test('[CLI] P2: at the end a part of a record is cut off, and its writer hears that', async () => {
    const { file, state, write } = disk(6)
    write('one\n')
    const two = watched(write('two\n'))
    const end = new Error('the end')
    file.abandon(end)
    file.cutTorn()
    await vi.advanceTimersByTimeAsync(10 * RETRY_MS)
    expect([state.text, two.error]).toEqual(['one\n', end])
    await expect(write('three\n')).rejects.toBe(end)
  })

  test('[CLI] P2: what somebody else has appended is not cut off, and that is said', () => {
    const { file, state, write } = disk(6)
    watched(write('1234567890'))
    state.text += 'theirs'
    file.cutTorn()
    expect(state.text).toBe('123456theirs')
    expect(state.said.at(-1)).toMatch(/6 bytes of a record of 10 bytes/)
  })

  test('[CLI] P2: any other error ends the writing', async () => {
    const { state, write } = disk(2, 'EIO')
    await expect(write('one\n')).rejects.toMatchObject({ code: 'EIO' })
    state.room = 100
    await expect(write('two\n')).rejects.toMatchObject({ code: 'EIO' })
    expect(state.text).toBe('on')
  })

  test.each([
    ['ENOSPC', 1],
    ['EDQUOT', 1],
    ['EAGAIN', 0],
  ])('[CLI] P2: %s is waited for, with %d lines', async (code, lines) => {
    const { state, write } = disk(0, code)
    const one = watched(write('one\n'))
    await vi.advanceTimersByTimeAsync(10 * RETRY_MS)
    expect([one.done, state.said.length]).toEqual([false, lines])
    state.room = 100
    await vi.advanceTimersByTimeAsync(RETRY_MS)
    expect([one.done, one.error, state.text]).toEqual([true, undefined, 'one\n'])
  })
})
