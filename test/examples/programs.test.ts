/**
 * Goal: the programs of docs/examples/programs do what their first lines say, and each is shorter
 * than the same program on MQTT.js. Method: both are run by the same test, which is the world
 * around them, against a broker in this process (MQTT 3.1.1 over TCP).
 */
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { bridge } from '../../docs/examples/programs/bridge.ts'
import { dashboard } from '../../docs/examples/programs/dashboard.ts'
import { device, type Heater } from '../../docs/examples/programs/device.ts'
import { gateway } from '../../docs/examples/programs/gateway.ts'
import { bridge as bridge2 } from '../../docs/examples/programs/mqttjs/bridge.ts'
import { dashboard as dashboard2 } from '../../docs/examples/programs/mqttjs/dashboard.ts'
import { device as device2 } from '../../docs/examples/programs/mqttjs/device.ts'
import { gateway as gateway2 } from '../../docs/examples/programs/mqttjs/gateway.ts'
import * as requests2 from '../../docs/examples/programs/mqttjs/requests.ts'
import * as theirs from '../../docs/examples/programs/mqttjs/service.ts'
import * as requests from '../../docs/examples/programs/requests.ts'
import { counter, lights, Service } from '../../docs/examples/programs/service.ts'
import { LocalBroker, Probe } from '../support/local-broker.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { start } from '../support/process.ts'

const PROGRAMS = new URL('../../docs/examples/programs/', import.meta.url)
const scope = { onTestFinished }

interface AnyService {
  start(module: 'lights' | 'counter'): void
  stop(module: 'lights' | 'counter'): Promise<void>
  close(): Promise<void>
}

/** How the programs of both libraries are called. */
const LIBRARIES = {
  'it-mqtt': {
    folder: '',
    device: (url: string, heater: Heater, signal: AbortSignal) => device({ url }, heater, signal),
    dashboard: (url: string, server: WebSocketServer) => dashboard(url, server),
    serve: requests.serve,
    ask: requests.ask,
    bridge: (from: string, to: string, signal: AbortSignal) =>
      bridge({ url: from }, { url: to }, signal),
    workerOf: (url: string, clientId: string) => JSON.stringify({ url, clientId }),
    gateway,
    command: (_id: string, command: string) => command,
    service: (url: string): AnyService => {
      const made = new Service(url)
      const modules = { lights, counter }
      return {
        start: (name) => made.start(modules[name]),
        stop: (name) => made.stop(modules[name]),
        close: () => made.close(),
      }
    },
  },
  'MQTT.js': {
    folder: 'mqttjs/',
    device: device2,
    dashboard: dashboard2,
    serve: requests2.serve,
    ask: requests2.ask,
    bridge: bridge2,
    workerOf: (url: string, clientId: string) => `'${url}', '${clientId}'`,
    gateway: gateway2,
    command: (id: string, command: string) => JSON.stringify({ id, command }),
    service: (url: string): AnyService => {
      const made = new theirs.Service(url)
      const modules = { lights: theirs.lights, counter: theirs.counter }
      return {
        start: (name) => made.start(modules[name]),
        stop: (name) => made.stop(modules[name]),
        close: () => made.close(),
      }
    },
  },
}

class TestHeater extends EventEmitter implements Heater {
  isOn = false

  async set(isOn: boolean) {
    this.isOn = isOn
    this.emit('change')
  }
}

/** Ends a program when the test does, if it has not ended before. */
function ending(): AbortController {
  const controller = new AbortController()
  onTestFinished(() => controller.abort())
  return controller
}

describe.each(Object.entries(LIBRARIES))('programs on %s', (_, library) => {
  test('the device announces itself, obeys, reports, and says when it goes', async () => {
    const broker = await LocalBroker.start(scope)
    const probe = await Probe.at(broker.url, scope)
    const end = ending()
    const heater = new TestHeater()
    const running = library.device(broker.url, heater, end.signal)
    await probe.sees('heater-7/state OFF')
    await probe.sees('heater-7/availability online')
    expect(probe.seen.join()).toContain('homeassistant/switch/heater-7/config {"name":"Heater"')
    await probe.publish('heater-7/set', 'ON')
    await probe.sees('heater-7/state ON')
    await heater.set(false)
    await probe.sees('heater-7/state OFF', 2)
    broker.cut()
    await probe.sees('heater-7/availability online', 2)
    expect(probe.seen).toContain('heater-7/availability offline')
    const before = probe.seen.length
    await probe.publish('homeassistant/status', 'online')
    await probe.sees('heater-7/availability online', 3)
    await probe.until((seen) => seen.slice(before).includes('heater-7/state OFF'))
    end.abort()
    await running
    await probe.sees('heater-7/availability offline', 2)
  })

  test('the dashboard serves a fast browser while a slow one is behind', async () => {
    const broker = await LocalBroker.start(scope)
    const probe = await Probe.at(broker.url, scope)
    await probe.publish('plant/7/door', 'open', { qos: 1, retain: true })
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    const running = library.dashboard(broker.url, server)
    await once(server, 'listening')
    const [fast, slow] = await Promise.all([open(server), open(server)])
    await fast.until(1)
    await slow.until(1)
    expect(fast.seen).toEqual([{ topic: 'plant/7/door', line: '7', value: 'open' }])
    expect(slow.seen).toEqual(fast.seen)
    slow.socket.pause()
    for (let i = 1; i <= 300; i++) {
      await probe.publish('plant/7/temperature', `${i} ${'x'.repeat(65_536)}`)
      await fast.until(1 + i)
    }
    slow.socket.resume()
    await slow.sees('300 x')
    expect(slow.seen.length).toBeLessThan(250)
    expect(fast.seen.length).toBe(301)
    for (const { socket } of [fast, slow]) socket.terminate()
    server.close()
    await running
  })

  test('a hundred requests are sent together, and those without an answer time out', async () => {
    const broker = await LocalBroker.start(scope)
    const end = ending()
    let answer = () => {}
    const never = new Promise<void>((resolve) => {
      answer = resolve
    })
    let asked = 0
    const square = async (x: number) => {
      asked++
      if (x === 7) await never
      if (x === 13) throw new Error('unlucky')
      return x * x
    }
    const serving = library.serve(broker.url, square, end.signal)
    await once(broker.aedes, 'subscribe')
    const numbers = Array.from({ length: 100 }, (_, x) => x)
    const outcomes = await library.ask(broker.url, numbers, 1000)
    expect(asked).toBe(100)
    for (const [x, outcome] of outcomes.entries()) {
      if (x === 7 || x === 13) expect(outcome.status).toBe('rejected')
      else expect(outcome).toEqual({ status: 'fulfilled', value: x * x })
    }
    answer()
    end.abort()
    await serving
  })

  test('the bridge forwards all in order, over a broker that was away', async () => {
    const [near, far] = [await LocalBroker.start(scope), await LocalBroker.start(scope)]
    const probe = await Probe.at(near.url, scope)
    const watcher = await Probe.at(far.url, scope)
    const end = ending()
    const bridging = library.bridge(near.url, far.url, end.signal)
    await once(near.aedes, 'subscribe')
    for (let i = 0; i < 20; i++) await probe.publish('plant/7', String(i))
    await watcher.sees('plant/7 19')
    await far.vanish()
    for (let i = 20; i < 40; i++) await probe.publish('plant/7', String(i))
    await far.listen()
    for (let i = 40; i < 60; i++) await probe.publish('plant/7', String(i))
    await watcher.sees('plant/7 59')
    expect([...new Set(watcher.seen)]).toEqual(Array.from({ length: 60 }, (_, i) => `plant/7 ${i}`))
    end.abort()
    await bridging
  })

  test('modules come and go, and the last one of a filter unsubscribes', async () => {
    const broker = await LocalBroker.start(scope)
    const probe = await Probe.at(broker.url, scope)
    const service = library.service(broker.url)
    service.start('lights')
    service.start('counter')
    await once(broker.aedes, 'subscribe')
    await probe.publish('rooms/kitchen/motion', '1')
    await probe.sees('rooms/kitchen/light on')
    await probe.sees('rooms/kitchen/motions 1')
    await service.stop('lights')
    await probe.publish('rooms/kitchen/motion', '2')
    await probe.sees('rooms/kitchen/motions 2')
    expect(probe.seen.filter((one) => one === 'rooms/kitchen/light on')).toHaveLength(1)
    const unsubscribed = once(broker.aedes, 'unsubscribe')
    await service.stop('counter')
    const idle = service.close()
    expect((await unsubscribed)[0]).toEqual(['rooms/+/motion'])
    await idle
  })

  test('[S1] the gateway keeps samples for an absent broker, and commands for one that died', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gateway-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const broker = await LocalBroker.start(scope)
    const probe = await Probe.at(broker.url, scope)
    await broker.vanish()
    let stored = () => {}
    const isStored = new Promise<void>((resolve) => {
      stored = resolve
    })
    async function* samples() {
      yield* ['1', '2', '3']
      stored()
    }
    const executed: string[] = []
    let dies = true
    const execute = async (command: string, id: string) => {
      executed.push(`${id} ${command}`)
      if (dies) throw new Error('power cut')
    }
    const first = library.gateway(broker.url, directory, samples(), execute, ending().signal)
    await isStored
    await broker.listen()
    await probe.sees('gateway-7/sample 3')
    const failed = expect(first).rejects.toThrow('power cut')
    await probe.publish('gateway-7/command', library.command('4711', 'valve shut'), { qos: 2 })
    await failed
    dies = false
    const end = ending()
    async function* none() {}
    const second = library.gateway(broker.url, directory, none(), execute, end.signal)
    await until(() => executed.length === 2)
    end.abort()
    await second
    // The same identifier: who stores it with the result of the command executes it once.
    expect(executed[0]).toMatch(/^\d+ valve shut$/)
    expect(executed[1]).toBe(executed[0])
    const arrived = probe.seen.filter((one) => one.startsWith('gateway-7/sample'))
    expect(arrived).toEqual(['1', '2', '3'].map((sample) => `gateway-7/sample ${sample}`))
  })

  test('the fleet does all jobs, although a worker is killed', async (context) => {
    requireMosquitto(context)
    const mosquitto = await Mosquitto.start()
    onTestFinished(() => mosquitto[Symbol.asyncDispose]())
    const program = new URL(`${library.folder}worker.ts`, PROGRAMS).href
    const done = new Set<string>()
    const run = (clientId: string) =>
      spawnWorker(program, library.workerOf(mosquitto.url, clientId), done)
    const [a, b] = [run('worker-a'), run('worker-b')]
    const probe = await Probe.at(mosquitto.url, scope)
    await Promise.all([a.works(probe), b.works(probe)])
    for (let i = 0; i < 60; i++) {
      await probe.publish(`jobs/${i}`, String(i))
      if (i === 30) a.child.kill('SIGKILL')
    }
    run('worker-a')
    await until(() => Array.from({ length: 60 }, (_, i) => done.has(String(i))).every(Boolean))
  })
})

/** Starts a worker in a process of its own. */
function spawnWorker(program: string, firstArguments: string, done: Set<string>) {
  const code = `import { worker } from '${program}'
    import { setTimeout as sleep } from 'node:timers/promises'
    const work = async (job) => {
      await sleep(20)
      console.log('done', job, '.')
    }
    await worker(${firstArguments}, work, new AbortController().signal)`
  const child = start(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code])
  onTestFinished(() => void child.kill('SIGKILL'))
  const own = new Set<string>()
  child.stderr!.on('data', (text) => process.stderr.write(text))
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    for (const [, job] of text.matchAll(/done (\S+) \./g)) {
      done.add(job!)
      own.add(job!)
    }
  })
  return {
    child,
    /** Resolves when it has done a job. */
    async works(probe: Probe) {
      while (own.size === 0) {
        await probe.publish('jobs/warm-up', 'warm-up')
        await until(() => own.size > 0, 50)
      }
    },
  }
}

/** Resolves when it is so, or after some ms. */
async function until(isSo: () => boolean, ms = Number.POSITIVE_INFINITY) {
  const end = performance.now() + ms
  while (!isSo() && performance.now() < end) await sleep(5)
}

async function open(server: WebSocketServer) {
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const browser = new Browser(socket)
  await once(socket, 'open')
  return browser
}

class Browser {
  readonly socket: WebSocket
  readonly seen: { readonly value: string }[] = []
  #look = () => {}

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data) => {
      this.seen.push(JSON.parse(String(data)))
      this.#look()
    })
  }

  until(count: number): Promise<void> {
    return this.#when(() => this.seen.length >= count)
  }

  sees(value: string): Promise<void> {
    return this.#when(() => this.seen.at(-1)?.value.startsWith(value) === true)
  }

  async #when(isSo: () => boolean) {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.#look = resolve
      })
    }
  }
}

/** @returns the lines of a file that are neither empty nor comments. */
function lines(path: string): number {
  const text = readFileSync(new URL(path, PROGRAMS), 'utf8')
  return text.split('\n').filter((line) => !/^\s*($|\/\/|\/\*|\*)/.test(line)).length
}

const FILES = [
  'device',
  'dashboard',
  'requests',
  'gateway',
  'worker',
  'bridge',
  'device.test',
  'service',
]

test('every program is shorter than the same on MQTT.js', () => {
  const rows = FILES.map((name) => ({
    program: name,
    'it-mqtt': lines(`${name}.ts`),
    'MQTT.js': lines(`mqttjs/${name}.ts`),
  }))
  console.table(rows)
  const longer = rows.filter((row) => row['it-mqtt'] >= row['MQTT.js'])
  expect(longer).toEqual([])
})
