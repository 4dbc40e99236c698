/**
 * The plant behind Fastify: a plugin decorates the instance with the client and ends it with
 * `onClose`, when all requests have been answered.
 */
import fastify, { type FastifyInstance, type FastifyPluginCallback } from 'fastify'
import { type Client, type ClientOptions, createClient } from 'it-mqtt/client'
import { NOT_YET, refusalOf, setPoint, Temperatures } from '../plant/plant.ts'

declare module 'fastify' {
  interface FastifyInstance {
    mqtt: Client
    temperatures: Temperatures
  }
}

const plugin: FastifyPluginCallback<ClientOptions> = (app, options, done) => {
  const client = createClient(options)
  const temperatures = new Temperatures()
  app.decorate('mqtt', client)
  app.decorate('temperatures', temperatures)
  app.addHook('onReady', (ready) => {
    temperatures.follow(client).catch((error: unknown) => {
      // Nothing of this service works without its client.
      app.log.fatal(error)
      process.exitCode = 1
      return app.close()
    })
    // The service starts without a broker too: it answers 503 until there is one.
    ready()
  })
  app.addHook('onClose', () => client.close())
  done()
}

/** Without this mark the decorations would be those of the plugin only (see fastify-plugin). */
export const mqtt = Object.assign(plugin, { [Symbol.for('skip-override')]: true })

interface Line {
  readonly Params: { readonly line: string }
}

export function plantApp(options: ClientOptions): FastifyInstance {
  const app = fastify({
    logger: { level: 'error' },
    forceCloseConnections: 'idle',
    // A connection that has just been answered delays the end by so much; the default is 72 s.
    keepAliveTimeout: 1000,
  })
  app.register(mqtt, options)
  app.setErrorHandler((error, _request, reply) => {
    const refusal = refusalOf(error)
    if (refusal === null) return reply.send(error)
    return reply.code(refusal.status).headers(refusal.headers).send(refusal.body)
  })
  app.put<Line>('/lines/:line/set-point', async ({ params: { line }, body }) => {
    // The schema of the topic refuses what is no reading.
    const value = body as { celsius: number }
    const { noMatchingSubscribers } = await app.mqtt.publish(setPoint, value, { params: { line } })
    return { taken: !noMatchingSubscribers }
  })
  app.get<Line>('/lines/:line/temperature', (request, reply) => {
    const reading = app.temperatures.of(request.params.line)
    if (reading !== undefined) return reply.send(reading)
    if (app.temperatures.isSynced) return reply.code(404).send()
    return reply.code(NOT_YET.status).headers(NOT_YET.headers).send(NOT_YET.body)
  })
  return app
}
