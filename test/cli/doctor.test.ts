import { describe, expect, test } from 'vitest'
import type { DoctorReport } from '../../src/doctor/index.ts'
import type { BrokerOptions, PacketRecord } from '../../src/testing/index.ts'
import { broker, cli, start } from './support.ts'

const BOTH: BrokerOptions = { protocolVersions: [5, 4] }

describe('[CLI] doctor', { timeout: 60_000 }, () => {
  test('[CLI] doctor: a table says what to rely on and what not, with status 0', async () => {
    const peer = await broker(() => {}, { protocolVersions: [5, 4], willOnTakeover: 'new' })
    const only = ['--only', 'qos,will-takeover', '--only', 'no-subscribers-away']
    const ended = await cli(['doctor', peer.url, ...only])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    const [head, ...lines] = ended.stdout.trimEnd().split('\n')
    expect(head).toMatch(/^mqtt:\/\/127\.0\.0\.1:\d+, MQTT 5, \d+ requests in \d+ s$/)
    expect(lines).toEqual([
      '',
      'You may rely on:',
      '  qos: Up to which QoS are messages delivered?',
      '    QoS 2. Exactly once is possible.',
      expect.stringMatching(/^ {2}no-subscribers-away: /),
      expect.stringMatching(/^ {4}no\. /),
      '',
      'Do not rely on:',
      '  will-takeover: Which will is published when another connection takes the session over?',
      expect.stringMatching(/^ {4}that of the new connection\. /),
      expect.stringMatching(/^ {4}/),
    ])
  })

  test('[CLI] doctor: --json writes the whole report, in the version of -V', async () => {
    const peer = await broker()
    const only = ['--only', 'session', '--prefix', 'lab', '-I', 'me-']
    const { status, stdout } = await cli([
      'doctor',
      '--url',
      peer.url,
      '-V',
      '4',
      '--json',
      ...only,
    ])
    const report = JSON.parse(stdout) as DoctorReport
    expect(status).toBe(0)
    expect(report).toMatchObject({ format: 1, protocolVersion: 4, profile: { sessionKept: true } })
    expect(report.findings).toHaveLength(1)
    expect(report.findings[0]!.evidence).toContainEqual(
      expect.stringMatching(/^client 1: CONNECT as me-\w{12} → accepted$/),
    )
  })

  test('[CLI] doctor: --evidence shows what was sent; a question of MQTT 5 is not known', async () => {
    const peer = await broker()
    const words = ['-V', '4', '--evidence', '--only', 'order,no-subscribers']
    const { stdout } = await cli(['doctor', peer.url, ...words])
    expect(stdout).toContain('      client 2: PUBLISH "0" to …/one at QoS 1 → PUBACK 0\n')
    expect(stdout).toContain('Not known:\n')
    expect(stdout).toContain('    it is a question of MQTT 5\n')
  })

  test('[CLI] doctor: without a connection it says why, with the status of the reason', async () => {
    const peer = await broker()
    peer.broker.refuseConnections(0x86)
    const refused = await cli(['doctor', peer.url, '--only', 'qos'])
    expect(refused.status).toBe(4)
    expect(refused.stdout).toContain(': no connection\n')
    const nobody = await cli(['doctor', 'mqtt://127.0.0.1:1', '--only', 'qos'])
    expect(nobody).toMatchObject({ status: 1 })
    expect(nobody.stderr).toContain('connection refused')
  })

  test('[CLI] doctor: what cannot be used is status 2', async () => {
    for (const words of [
      ['--only', 'nonsense'],
      ['--prefix', 'a/#'],
      ['--will-topic', 'x'],
    ]) {
      expect(await cli(['doctor', ...words])).toMatchObject({ status: 2, stdout: '' })
    }
  })

  test('[CLI] doctor: Ctrl-C ends it, and removes what it made', async () => {
    const peer = await broker(() => {}, BOTH)
    const running = start(['doctor', peer.url, '--only', 'retained-expiry,session'])
    await peer.broker.waitFor({ cmd: 'publish', topic: '+/+/+/retained-expiry/mortal' })
    running.process.kill('SIGINT')
    expect(await running.ended).toMatchObject({ status: 130, stdout: '' })
    expect([...peer.broker.retained.keys()]).toEqual([])
    expect([...peer.broker.sessions.keys()]).toEqual([])
  })

  test('[CLI] doctor: after Ctrl-C it says what it could not remove', async () => {
    const peer = await broker(({ faults }) => {
      const isRemoval = ({ packet }: PacketRecord) =>
        packet.cmd === 'publish' && packet.retain && packet.payload.length === 0
      faults.refuse(isRemoval, 0x87, { times: Number.POSITIVE_INFINITY })
    }, BOTH)
    const running = start(['doctor', peer.url, '--only', 'retained-expiry'])
    await peer.broker.waitFor({ cmd: 'publish', topic: '+/+/+/retained-expiry/mortal' })
    running.process.kill('SIGINT')
    const { status, stderr } = await running.ended
    expect(status).toBe(130)
    const [topic] = [...peer.broker.retained.keys()]
    expect(stderr).toContain(`not removed: the retained message of ${topic}`)
  })
})
