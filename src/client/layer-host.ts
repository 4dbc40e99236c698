/**
 * How do layers above a client reach it? By the names of `ClientHost`.
 */
import type {
  BrokerProfile,
  IncomingPublish,
  Limits,
  Platform,
  ProtocolVersion,
  PublishRequest,
  QoS,
  WarningCode,
} from '../index.ts'
import type { ClientCore } from './client-core.ts'
import type { ClientHost, ClientListener, PublishListener, UnaskedListener } from './client-host.ts'
import type { ClientTarget } from './client-types.ts'
import { sync } from './fence.ts'
import { ListenerList } from './listener-list.ts'
import { BEHIND_OTHERS, comesBack } from './probes.ts'
import { profileHere } from './profile-here.ts'
import type { Synced } from './subscription-types.ts'

export class LayerHost implements ClientHost {
  readonly target: ClientTarget
  readonly platform: Platform
  readonly #core: ClientCore
  readonly #lost = new ListenerList<[]>()

  constructor(core: ClientCore) {
    this.#core = core
    this.target = core.target
    this.platform = core.clock
    void this.#watch()
  }

  async #watch(): Promise<void> {
    for await (const { from, to } of this.#core.loop.transitions()) {
      if (from === 'connected' && to !== 'connected') this.#lost.tell()
    }
  }

  get profile(): BrokerProfile {
    return profileHere(this.#core)
  }

  get clientId(): string {
    return this.#core.loop.state.clientId
  }

  get protocolVersion(): ProtocolVersion {
    return this.#core.loop.state.connection.protocolVersion
  }

  get limits(): Limits | null {
    return this.#core.loop.state.connection.limits
  }

  get attempt(): number {
    return this.#core.attempt()
  }

  get isConnected(): boolean {
    return this.#core.loop.state.connection.kind === 'connected'
  }

  get isOpen(): boolean {
    return this.#core.isOpen
  }

  get isRead(): boolean {
    return this.#core.isWanted
  }

  onRead(listener: () => void): () => void {
    return this.#core.onWanted(listener)
  }

  onConnected(listener: (resumed: boolean) => void): () => void {
    return this.#core.onConnected(listener)
  }

  onLost(listener: () => void): () => void {
    return this.#lost.add(listener)
  }

  onClose(begin: () => Promise<unknown>): () => void {
    return this.#core.onClose(begin)
  }

  onEnd(listener: (error: unknown) => void): () => void {
    return this.#core.onEnd(listener)
  }

  demand(): () => void {
    return this.#core.demand()
  }

  listen(
    filters: readonly string[],
    { qos, retained }: { readonly qos: QoS; readonly retained: boolean },
    handler: (packet: IncomingPublish) => void,
  ): ClientListener {
    const { clock } = this.#core
    const listener = { retained: 0, retainedAt: Number.NEGATIVE_INFINITY }
    const take = (packet: IncomingPublish) => {
      if (packet.retain) {
        listener.retained++
        listener.retainedAt = clock.now()
      }
      handler(packet)
    }
    const { granted, close } = this.#core.listenTo(filters, { qos, rh: retained ? 0 : 2 }, take)
    return Object.assign(listener, { granted, close })
  }

  onUnasked(listener: UnaskedListener): void {
    const { reception } = this.#core
    for (const receipt of reception.strays.onUnasked(listener)) reception.handled(receipt)
  }

  synced(listeners: readonly ClientListener[]): Promise<Synced> {
    return sync(this.#core, {
      granted: Promise.all(listeners.map(({ granted }) => granted)),
      rules: { qos: 1 },
      get retained() {
        return listeners.reduce((sum, { retained }) => sum + retained, 0)
      },
      get retainedAt() {
        return Math.max(...listeners.map(({ retainedAt }) => retainedAt))
      },
    })
  }

  post(request: PublishRequest, listener: PublishListener): void {
    this.#core.post(request, listener)
  }

  birth(request: PublishRequest, listener: PublishListener): PublishRequest {
    this.#core.publishing.birth(request, listener)
    return request
  }

  async roundTrip(): Promise<void> {
    const scratch = this.#core.scratchTopic()
    await comesBack(this.#core, scratch, scratch, 1, BEHIND_OTHERS)
  }

  warn(code: WarningCode, message: string): void {
    this.#core.warn(code, message)
  }
}
