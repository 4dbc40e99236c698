/**
 * The gateway on a bad day: a link that is cut, and a process that is killed again and again.
 *
 *   tsx main.ts                 thirty kills
 *   tsx main.ts --kills 5       five kills
 *
 * The exit status is 0 only if every sample that the gateway had on disk arrived.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createBroker } from 'it-mqtt/testing'
import { openRelay } from '../main-job/relay.ts'

const GATEWAY = fileURLToPath(new URL('./gateway.ts', import.meta.url))

/** Names of samples that are safe on disk, as the gateway prints them. */
const kept = new Set<string>()
/** Names of samples that the broker received. */
const arrived = new Set<string>()
let repeats = 0

function start(url: string, directory: string, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', GATEWAY, url, directory, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let rest = ''
  child.stdout!.on('data', (chunk) => {
    const lines = `${rest}${chunk}`.split('\n')
    rest = lines.pop() ?? ''
    for (const name of lines) kept.add(name)
  })
  return child
}

async function openBroker() {
  const broker = createBroker()
  broker.watch({ cmd: 'publish', topic: '+/+/sample', direction: 'toBroker' }, ({ packet }) => {
    if (packet.cmd !== 'publish') return
    const { name } = JSON.parse(packet.payload.toString())
    if (arrived.has(name)) repeats++
    arrived.add(name)
  })
  const server = createServer((socket) => broker.accept(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { broker, server, port: (server.address() as AddressInfo).port }
}

async function main(kills: number): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'gateway-'))
  const { broker, server, port } = await openBroker()
  const link = await openRelay(new URL(`mqtt://127.0.0.1:${port}`), 1883)
  const url = `mqtt://127.0.0.1:${link.port}`
  const cutting = setInterval(() => link.cut(), 150)
  try {
    for (let killed = 0; killed < kills; killed++) {
      const before = kept.size
      const child = start(url, directory, '--every', '2')
      while (kept.size === before && child.exitCode === null) await sleep(5)
      await sleep(Math.random() * 300)
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    clearInterval(cutting)
    const last = start(url, directory, '--drain')
    const [status] = await once(last, 'close')
    if (status !== 0) throw new Error(`the gateway ended with ${status}`)
  } finally {
    clearInterval(cutting)
    link.close()
    server.close()
    broker.close()
    await rm(directory, { recursive: true, force: true })
  }
  const lost = [...kept].filter((name) => !arrived.has(name))
  console.log(
    `killed ${kills} times: ${kept.size} samples on disk, ` +
      `${arrived.size} arrived, ${repeats} twice, ${lost.length} lost`,
  )
  return lost.length === 0 && kept.size > 0
}

const { values } = parseArgs({ options: { kills: { type: 'string', default: '30' } } })
process.exitCode = (await main(Number(values.kills))) ? 0 : 1
