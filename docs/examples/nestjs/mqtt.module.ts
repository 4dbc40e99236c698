/**
 * A module of NestJS that provides the client, and has methods of providers handle messages.
 *
 *   imports: [mqttModule({ url })]
 *   providers: [Alarms, handlersOf(Alarms, (alarms, client) => [
 *     client.subscribe(temperature).forEach((message) => alarms.onTemperature(message)),
 *   ])]
 *
 * No decorator is needed, so that it works with every compiler, those that only strip types too.
 * Where decorators with metadata are available, `@Inject(MQTT) client: Client` is the same.
 */
import type {
  DynamicModule,
  FactoryProvider,
  OnApplicationShutdown,
  OnModuleInit,
  Type,
} from '@nestjs/common'
import { type Client, type ClientOptions, createClient } from 'it-mqtt/client'

/** The token of the client. */
export const MQTT = Symbol('MQTT client')

/** Says when the client or a handler has failed: then the application has to be closed. */
export class MqttFailure {
  #report: (error: unknown) => void = () => {}
  /** Resolves with the first error; never, if there is none. */
  readonly error = new Promise<unknown>((resolve) => {
    this.#report = resolve
  })

  report(error: unknown): void {
    this.#report(error)
  }
}

/** Ends the client after the last HTTP request was answered: Nest closes its server before. */
class MqttEnd implements OnApplicationShutdown {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#client.close()
  }
}

/** Runs handlers from the start of the application until the client ends. */
class MqttHandlers implements OnModuleInit {
  readonly #begin: () => readonly Promise<void>[]
  readonly #failure: MqttFailure

  constructor(begin: () => readonly Promise<void>[], failure: MqttFailure) {
    this.#begin = begin
    this.#failure = failure
  }

  onModuleInit(): void {
    // They are not awaited: the application starts without a broker too.
    Promise.all(this.#begin()).catch((error: unknown) => this.#failure.report(error))
  }
}

/** The name of the module. */
class MqttModule {}

/** @returns a module, for `imports`. */
export function mqttModule(options: ClientOptions): DynamicModule {
  return {
    module: MqttModule,
    global: true,
    providers: [
      MqttFailure,
      { provide: MQTT, useFactory: () => createClient(options) },
      { provide: MqttEnd, useFactory: (client: Client) => new MqttEnd(client), inject: [MQTT] },
    ],
    exports: [MQTT, MqttFailure],
  }
}

/**
 * @param provider whose methods handle messages.
 * @param begin subscribes, and returns promises that settle when the handlers have ended.
 */
export function handlersOf<T>(
  provider: Type<T>,
  begin: (provider: T, client: Client) => readonly Promise<void>[],
): FactoryProvider {
  return {
    provide: Symbol(`handlers of ${provider.name}`),
    useFactory: (instance: T, client: Client, failure: MqttFailure) =>
      new MqttHandlers(() => begin(instance, client), failure),
    inject: [provider, MQTT, MqttFailure],
  }
}
