/**
 * The plant behind NestJS: a controller publishes, a provider has a method for messages, and a
 * filter says what the MQTT client refused.
 *
 * Decorators are called as the functions that they are, since tsx and Node have none with metadata.
 */
import 'reflect-metadata'
import {
  type ArgumentsHost,
  Body,
  Catch,
  Controller,
  type DynamicModule,
  type ExceptionFilter,
  Get,
  HttpException,
  Inject,
  NotFoundException,
  Param,
  Put,
  Res,
} from '@nestjs/common'
import type { Response } from 'express'
import { MqttError } from 'it-mqtt'
import type { Client, ClientOptions } from 'it-mqtt/client'
import {
  alarm,
  NOT_YET,
  type Reading,
  type Refusal,
  refusalOf,
  setPoint,
  type TemperatureMessage,
  Temperatures,
  temperature,
} from '../plant/plant.ts'
import { handlersOf, MQTT, mqttModule } from './mqtt.module.ts'

const TOO_HOT_CELSIUS = 90

/** A provider with a method that handles messages. */
class Alarms {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  /** A message is acknowledged when this has resolved: so no alarm is lost if the process dies. */
  async onTemperature({ params, value }: TemperatureMessage): Promise<void> {
    if (value.celsius > TOO_HOT_CELSIUS) await this.#client.publish(alarm, value, { params })
  }
}

class LinesController {
  readonly #client: Client
  readonly #temperatures: Temperatures

  constructor(client: Client, temperatures: Temperatures) {
    this.#client = client
    this.#temperatures = temperatures
  }

  async set(line: string, value: Reading): Promise<{ taken: boolean }> {
    const published = await this.#client.publish(setPoint, value, { params: { line } })
    return { taken: !published.noMatchingSubscribers }
  }

  temperature(line: string, response: Response): Reading | undefined {
    const reading = this.#temperatures.of(line)
    if (reading !== undefined) return reading
    if (this.#temperatures.isSynced) throw new NotFoundException()
    response.set(NOT_YET.headers)
    throw new HttpException(NOT_YET.body, NOT_YET.status)
  }
}

/** `@Controller('lines')`, and what stands at its methods and their parameters. */
Controller('lines')(LinesController)
Inject(MQTT)(LinesController, undefined, 0)
Inject(Temperatures)(LinesController, undefined, 1)
route(LinesController, 'set', Put(':line/set-point'), Param('line'), Body())
route(
  LinesController,
  'temperature',
  Get(':line/temperature'),
  Param('line'),
  Res({ passthrough: true }),
)

function route(
  controller: { readonly prototype: object },
  method: string,
  decorator: MethodDecorator,
  ...parameters: readonly ParameterDecorator[]
): void {
  const { prototype } = controller
  decorator(prototype, method, Object.getOwnPropertyDescriptor(prototype, method)!)
  for (const [index, parameter] of parameters.entries()) parameter(prototype, method, index)
}

class MqttErrors implements ExceptionFilter<MqttError> {
  catch(error: MqttError, host: ArgumentsHost): void {
    const { status, headers, body } = refusalOf(error) as Refusal
    host.switchToHttp().getResponse<Response>().status(status).set(headers).json(body)
  }
}
Catch(MqttError)(MqttErrors)

/** @returns the root module, to be given to `NestFactory.create()`. */
export function plantModule(options: ClientOptions): DynamicModule {
  return {
    module: class PlantModule {},
    imports: [mqttModule(options)],
    controllers: [LinesController],
    providers: [
      Temperatures,
      { provide: Alarms, useFactory: (client: Client) => new Alarms(client), inject: [MQTT] },
      handlersOf(Temperatures, (temperatures, client) => [temperatures.follow(client)]),
      handlersOf(Alarms, (alarms, client) => [
        client.subscribe(temperature, { onInvalid: 'skip' }).forEach(async (message) => {
          await alarms.onTemperature(message)
        }),
      ]),
    ],
  }
}

export { MqttErrors }
