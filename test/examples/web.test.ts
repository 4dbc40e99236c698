/**
 * Goal: the client lives with a web framework: it starts and ends with the application, an HTTP
 * request awaits the outcome of its publish, and retained values are answered at once. Method: the
 * examples of NestJS, Fastify and Express on real sockets, each with the same table of requests;
 * aedes, or a broker that never says a word.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { NestFactory } from '@nestjs/core'
import { Aedes } from 'aedes'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { plantApp as expressApp } from '../../docs/examples/express/app.ts'
import { plantApp as fastifyApp } from '../../docs/examples/fastify/app.ts'
import { MqttErrors, plantModule } from '../../docs/examples/nestjs/app.ts'
import { MQTT, MqttFailure } from '../../docs/examples/nestjs/mqtt.module.ts'
import {
  alarm,
  options,
  setPoint,
  Temperatures,
  temperature,
} from '../../docs/examples/plant/plant.ts'
import { type Client, type ClientOptions, createClient } from '../../src/client/index.ts'
import { start, until } from '../support/process.ts'

interface Service {
  readonly url: string
  readonly client: Client
  close(): Promise<unknown>
}

async function express(given: ClientOptions): Promise<Service> {
  const client = createClient(given)
  const temperatures = new Temperatures()
  temperatures.follow(client).catch(() => {})
  const server = expressApp(client, temperatures).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    await new Promise((resolve) => server.close(resolve))
    await client.close()
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, client, close }
}

async function fastify(given: ClientOptions): Promise<Service> {
  const app = fastifyApp(given)
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { url, client: app.mqtt, close: () => app.close() }
}

async function nestjs(given: ClientOptions): Promise<Service> {
  const app = await NestFactory.create(plantModule(given), { logger: false })
  app.useGlobalFilters(new MqttErrors())
  await app.listen(0, '127.0.0.1')
  return { url: await app.getUrl(), client: app.get(MQTT), close: () => app.close() }
}

// ------------------------------------------------------------------------------------- surroundings

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function openBroker() {
  const broker = await Aedes.createBroker()
  const server = createServer(broker.handle)
  const url = await listening(server)
  ends.push(() => {
    server.close()
    broker.close()
  })
  return { broker, url }
}

/** @returns the URL of a broker that takes connections and never answers. */
async function openMute(): Promise<string> {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket))
  ends.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return listening(server)
}

function plantAt(url: string): Client {
  const client = createClient(url)
  ends.push(() => client.close())
  return client
}

async function served(service: Promise<Service>) {
  const { url, client, close } = await service
  ends.push(close)
  const answerOf = async (response: Response) => ({
    status: response.status,
    body: (response.headers.get('content-type')?.includes('json')
      ? await response.json()
      : {}) as Record<string, unknown>,
    retryAfter: response.headers.get('retry-after'),
  })
  return {
    client,
    close,
    temperature: async (line: string) => answerOf(await fetch(`${url}/lines/${line}/temperature`)),
    set: async (line: string, body: unknown) =>
      answerOf(
        await fetch(`${url}/lines/${line}/set-point`, {
          method: 'PUT',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      ),
  }
}

// ------------------------------------------------------------------------------------------- tests

const SERVICES = { express, fastify, nestjs }

describe.each(Object.entries(SERVICES))('%s', (name, serve) => {
  test('M9: the last retained values are answered, and those that came since', async () => {
    const { url } = await openBroker()
    const plant = plantAt(url)
    await plant.publish('plant/1/temperature', '{"celsius":21}', { retain: true })
    const service = await served(serve({ ...options, url }))

    let first = await service.temperature('1')
    await until(async () => {
      if (first.status === 503) {
        expect(first).toMatchObject({ body: { code: 'NOT_SYNCED' }, retryAfter: '1' })
        first = await service.temperature('1')
      }
      return first.status !== 503
    }, 'a temperature')
    expect(first).toMatchObject({ status: 200, body: { celsius: 21 } })
    await until(async () => (await service.temperature('2')).status === 404, 'all temperatures')

    await plant.publish(temperature, { celsius: 22 }, { params: { line: '2' } })
    await until(async () => (await service.temperature('2')).status === 200, 'line 2')
    expect(await service.temperature('2')).toMatchObject({ body: { celsius: 22 } })
    await plant.publish('plant/1/temperature', '', { retain: true })
    await until(async () => (await service.temperature('1')).status === 404, 'the removal')
    const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => logged.mockRestore())
    await plant.publish('plant/2/temperature', '"hot"')
    await plant.publish('plant/3/temperature', '{"celsius":23}')
    await until(async () => (await service.temperature('3')).status === 200, 'line 3')
    expect(await service.temperature('2')).toMatchObject({ body: { celsius: 22 } })
    expect(logged.mock.calls).toMatchObject([['plant/2/temperature', { code: 'INVALID_PAYLOAD' }]])
  })

  test('M2: a request that publishes is answered with the outcome', async () => {
    const { url } = await openBroker()
    const points = plantAt(url).subscribe(setPoint)
    await points.granted
    const service = await served(serve({ ...options, url }))

    expect(await service.set('7', { celsius: 20 })).toMatchObject({
      status: 200,
      body: { taken: true },
    })
    const { params, value } = await points.first()
    expect({ ...params, ...value }).toEqual({ line: '7', celsius: 20 })

    expect(await service.set('7', { celsius: 'hot' })).toMatchObject({
      status: 400,
      body: { code: 'INVALID_PAYLOAD' },
      retryAfter: null,
    })
    expect(await service.set('%2B', { celsius: 20 })).toMatchObject({
      status: 400,
      body: { code: 'TOPIC_PARAMS' },
    })
  })

  test('M2: a full queue, a time-out and the end are 503 with Retry-After', async () => {
    const url = await openMute()
    const given = { ...options, url, maxQueued: 1, publishTimeout: 200, connectTimeout: 10_000 }
    const service = await served(serve(given))

    const both = [service.set('1', { celsius: 20 }), service.set('1', { celsius: 21 })]
    const answers = await Promise.all(both)
    expect(answers.map(({ status }) => status)).toEqual([503, 503])
    const byCode = new Map(answers.map(({ body, retryAfter }) => [body.code, retryAfter]))
    expect(byCode).toEqual(
      new Map([
        ['QUEUE_FULL', '1'],
        ['TIMEOUT', '2'],
      ]),
    )
    expect(await service.temperature('1')).toMatchObject({ status: 503, retryAfter: '1' })

    await service.client.close({ timeout: 1 })
    expect(await service.set('1', { celsius: 20 })).toMatchObject({
      status: 503,
      body: { code: 'ENDED' },
      retryAfter: '5',
    })
  })

  test('M14: requests are answered before the client ends, and nothing is left', async () => {
    const { broker, url } = await openBroker()
    let release = () => {}
    broker.authorizePublish = (_client, { topic }, done) => {
      if (topic.endsWith('/set-point')) release = () => done(null)
      else done(null)
    }
    const service = await served(serve({ ...options, url, publishTimeout: 20_000 }))
    await service.client.ready()
    const answer = service.set('1', { celsius: 20 })
    const isPublished = release
    await until(() => release !== isPublished, 'the publish')

    let closed = false
    const closing = service.close().then(() => {
      closed = true
    })
    await until(() => fetchFails(service), 'the end of the server')
    expect(closed).toBe(false)
    release()
    expect(await answer).toMatchObject({ status: 200 })
    await closing
    expect(service.client.state.connection.kind).toBe('closed')
    await until(() => broker.connectedClients === 0, 'the end of the connection')
    await expect(service.client.publish('a')).rejects.toMatchObject({ code: 'ENDED' })
  })

  test('M14: the program ends on SIGTERM with status 0', async () => {
    const { url, broker } = await openBroker()
    const program = run(name, url)
    await until(() => broker.connectedClients === 1, 'the connection')
    await until(() => program.output.stdout.startsWith('http://'), 'the address')
    program.child.kill('SIGTERM')
    expect(await program.ended).toBe(0)
    expect(program.output.stderr).toBe('')
    expect(broker.connectedClients).toBe(0)
  })

  test('M2: the program ends with status 1 if the client is refused for good', async () => {
    const { url, broker } = await openBroker()
    broker.authenticate = (_client, _user, _password, done) => {
      done(Object.assign(new Error('refused'), { returnCode: 4 as const }), false)
    }
    const program = run(name, url)
    expect(await program.ended).toBe(1)
    expect(program.output.stderr + program.output.stdout).toMatch(/user name or password/i)
  })
})

/** @returns whether the server takes no more connections. */
async function fetchFails(service: { temperature(line: string): Promise<unknown> }) {
  return service.temperature('1').then(
    () => false,
    () => true,
  )
}

function run(name: string, url: string) {
  const main = fileURLToPath(new URL(`../../docs/examples/${name}/main.ts`, import.meta.url))
  const child = start(process.execPath, ['--import', 'tsx', main, url])
  ends.push(() => child.kill('SIGKILL'))
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk) => (output.stdout += chunk))
  child.stderr?.on('data', (chunk) => (output.stderr += chunk))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return { child, output, ended }
}

// ------------------------------------------------------------------------------------- NestJS alone

test('M4: a method of a provider handles messages, and publishes meanwhile', async () => {
  const { url } = await openBroker()
  const plant = plantAt(url)
  const alarms = plant.subscribe(alarm)
  await alarms.granted
  const service = await served(nestjs({ ...options, url }))
  await until(async () => (await service.temperature('1')).status === 404, 'the subscription')
  for (const celsius of [20, 95]) {
    await plant.publish(temperature, { celsius }, { params: { line: '1' } })
  }
  const { value } = await alarms.first()
  expect(value).toEqual({ celsius: 95 })
})

test('M2: a client that fails is reported to the application', async () => {
  const { url, broker } = await openBroker()
  broker.authenticate = (_client, _user, _password, done) => {
    done(Object.assign(new Error('refused'), { returnCode: 4 as const }), false)
  }
  const app = await NestFactory.create(plantModule({ ...options, url }), { logger: false })
  ends.push(() => app.close())
  await app.init()
  expect(await app.get(MqttFailure).error).toMatchObject({ name: 'RefusedError' })
})
