/**
 * The plant behind Express: the client is in `response.locals`, publishes are awaited by handlers,
 * and one error handler says what the MQTT client refused.
 */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import type { Client } from 'it-mqtt/client'
import { NOT_YET, type Refusal, refusalOf, setPoint, type Temperatures } from '../plant/plant.ts'

/** A middleware that gives the client to the handlers after it. */
export function mqtt(client: Client): RequestHandler<unknown, unknown, unknown, unknown, Locals> {
  return (_request, response, next) => {
    response.locals.mqtt = client
    next()
  }
}

interface Locals extends Record<string, unknown> {
  mqtt: Client
}

function refuse(response: Parameters<RequestHandler>[1], { status, headers, body }: Refusal): void {
  response.status(status).set(headers).json(body)
}

const onError: ErrorRequestHandler = (error, _request, response, next) => {
  const refusal = refusalOf(error)
  if (refusal === null) next(error)
  else refuse(response, refusal)
}

export function plantApp(client: Client, temperatures: Temperatures): Express {
  const app = express()
  app.use(express.json())
  app.use(mqtt(client))
  // Express 5 passes what a handler rejects with to the error handler.
  app.put('/lines/:line/set-point', async (request, response) => {
    const { mqtt } = response.locals as Locals
    const { line } = request.params
    const { noMatchingSubscribers } = await mqtt.publish(setPoint, request.body, {
      params: { line },
    })
    response.json({ taken: !noMatchingSubscribers })
  })
  app.get('/lines/:line/temperature', (request, response) => {
    const reading = temperatures.of(request.params.line)
    if (reading !== undefined) response.json(reading)
    else if (temperatures.isSynced) response.sendStatus(404)
    else refuse(response, NOT_YET)
  })
  app.use(onError)
  return app
}
