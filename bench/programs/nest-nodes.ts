/**
 * A microservice of NestJS and a client of it, with the MQTT transport as its documentation has it,
 * and a pipe that validates with zod. As in moleculer-nodes.ts, nothing is logged, and TCP delays no
 * small packets. Decorators are called as the functions that they are.
 */
import 'reflect-metadata'
import { Controller, Module, type Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import {
  type ClientProxy,
  ClientProxyFactory,
  type MicroserviceOptions,
  MqttRecordBuilder,
  Payload,
  Transport,
} from '@nestjs/microservices'
import { message } from './bus-apis.ts'

interface MqttJsClient {
  readonly stream: { setNoDelay(on: boolean): void }
}

const pipe = { transform: (value: unknown) => message.parse(value) }

/** Starts a microservice whose controller has one method, which takes the payload of a pattern. */
export async function nestService(
  port: number,
  qos: 0 | 1,
  pattern: (target: object, key: string, descriptor: PropertyDescriptor) => void,
  handle: (value: unknown) => unknown,
): Promise<void> {
  class BenchController {
    take(value: unknown): unknown {
      return handle(value)
    }
  }
  const { prototype } = BenchController
  pattern(prototype, 'take', Object.getOwnPropertyDescriptor(prototype, 'take')!)
  Payload(pipe)(prototype, 'take', 0)
  Controller()(BenchController)
  class BenchModule {}
  Module({ controllers: [BenchController as Type] })(BenchModule)
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(BenchModule, {
    ...{ transport: Transport.MQTT, logger: false },
    options: { url: `mqtt://127.0.0.1:${port}`, subscribeOptions: { qos } },
  })
  await app.listen()
  app.unwrap<MqttJsClient>().stream.setNoDelay(true)
}

/** @returns a client that is connected. */
export async function nestClient(port: number): Promise<ClientProxy> {
  const options = { url: `mqtt://127.0.0.1:${port}` }
  const client = ClientProxyFactory.create({ transport: Transport.MQTT, options })
  await client.connect()
  client.unwrap<MqttJsClient>().stream.setNoDelay(true)
  return client
}

/** @returns what is sent at a QoS; 0 is what NestJS takes if nothing is said. */
export function nestRecord(data: unknown, qos: 0 | 1): unknown {
  return qos === 0 ? data : new MqttRecordBuilder(data).setQoS(qos).build()
}
