import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { publish } from '../../src/index.ts'
import { startLoop } from '../support/loop.ts'
import { cli } from './support.ts'

async function recording(): Promise<string> {
  const started = startLoop({ recorder: { inputs: 100 } }, [publish('a', 'secret', { qos: 1 })])
  await started.clock.advance(1000)
  return started.loop.recording()!
}

function fileOf(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'it-mqtt-replay-')), 'recording')
  writeFileSync(file, text)
  return file
}

describe('[CLI] replay', { timeout: 60_000 }, () => {
  test('[CLI] replay: steps, changes and effects, and that all is as recorded', async () => {
    const { status, stdout, stderr } = await cli(['replay', fileOf(await recording())])
    expect(status).toBe(0)
    expect(stderr).toMatch(/^it-mqtt: \d+ steps, all as recorded\n$/)
    expect(stdout).toContain('connection.kind: idle → connecting')
    expect(stdout).toContain('received puback')
    expect(stdout).toContain('→ yield settle')
    expect(stdout).not.toContain('secret')
  })

  test('[CLI] replay --json: a line for each step', async () => {
    const { status, stdout } = await cli(['replay', fileOf(await recording()), '--json'])
    expect(status).toBe(0)
    const steps = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(steps[0]).toMatchObject({ inputs: ['start'], effects: ['transition', 'dial'] })
  })

  test('[CLI] replay: a decision that differs is reported, with exit status 1', async () => {
    const changed = (await recording()).replace(
      '"type":"dial","protocolVersion":5',
      '"type":"dial","protocolVersion":4',
    )
    const { status, stderr } = await cli(['replay', fileOf(changed)])
    expect(status).toBe(1)
    expect(stderr).toMatch(/line \d+: the effects differ/)
  })

  test('[CLI] replay: a file that is none, or not there, is one line', async () => {
    const none = await cli(['replay', fileOf('hello')])
    expect(none.status).toBe(2)
    expect(none.stderr).toMatch(/^it-mqtt: recording: line 1 [^\n]+\n$/)
    const absent = await cli(['replay', '/nowhere/at/all'])
    expect(absent.status).toBe(2)
    expect(absent.stderr).toMatch(/^it-mqtt: replay: ENOENT[^\n]+\n$/)
  })
})
