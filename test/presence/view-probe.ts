/** The pure view of a space with short calls for what happens, and texts for what it tells. */
import type { ConnectionRecord } from '../../src/presence/records.ts'
import type { ViewEffect, ViewLimits } from '../../src/presence/space-steps.ts'
import { SpaceView } from '../../src/presence/space-view.ts'

interface Came {
  readonly epoch?: number
  readonly seq?: number
  readonly retained?: boolean
  readonly ttl?: number
}

/** A view that has synced once. */
export class ViewProbe {
  readonly view: SpaceView
  at = 0
  readonly effects: ViewEffect[] = []
  #told = 0

  constructor(limits: Partial<ViewLimits> = {}) {
    this.view = new SpaceView({ maxMembers: 10, janitor: false, ...limits })
    this.syncBegins()
    this.syncEnds()
  }

  member(client: string, of: number, { epoch = 1, seq = 1, retained = false }: Came = {}): void {
    this.#member(client, of, { epoch, seq, data: undefined, left: false }, retained)
  }

  farewell(client: string, of: number, { epoch = 1, seq = 1, retained = false }: Came = {}): void {
    this.#member(client, of, { epoch, seq, data: undefined, left: true }, retained)
  }

  emptied(client: string, of: number): void {
    this.#member(client, of, null, false)
  }

  up(of: number, { epoch = 1, seq = 2, ttl = 300, retained = false }: Came = {}): void {
    this.#connection(of, { state: 'up', epoch, seq, client: '', ttl }, retained)
  }

  down(of: number, { epoch = 1, seq = 9, ttl = 300, retained = false }: Came = {}): void {
    this.#connection(of, { state: 'down', epoch, seq, client: '', ttl }, retained)
  }

  lost(of: number, { epoch = 1, ttl = 300, retained = false }: Came = {}): void {
    this.#connection(of, { state: 'lost', epoch, seq: 0, client: '', ttl }, retained)
  }

  syncBegins(): void {
    this.#take(this.view.step({ type: 'syncBegins' }))
  }

  syncEnds(): void {
    this.#take(this.view.step({ type: 'syncEnds', certainty: 'ordered', at: this.at }))
  }

  /** Lets seconds pass. */
  pass(seconds: number): void {
    this.at += seconds * 1000
    this.#take(this.view.step({ type: 'time', at: this.at }))
  }

  /** The changes since the last call. */
  news(): string[] {
    const news = this.effects.slice(this.#told)
    this.#told = this.effects.length
    return news.flatMap((effect) =>
      effect.type === 'change' ? [`${effect.change.action} ${effect.change.member.client}`] : [],
    )
  }

  #member(
    client: string,
    of: number,
    record: { epoch: number; seq: number; data: unknown; left: boolean } | null,
    retained: boolean,
  ): void {
    const topic = { client, connection: nameOf(of) }
    this.#take(this.view.step({ type: 'member', topic, record, arrival: this.#arrival(retained) }))
  }

  #connection(of: number, record: ConnectionRecord, retained: boolean): void {
    const arrival = this.#arrival(retained)
    this.#take(this.view.step({ type: 'connection', connection: nameOf(of), record, arrival }))
  }

  #arrival(retained: boolean) {
    return { at: this.at, retained, ageMs: 0 }
  }

  #take(effects: readonly ViewEffect[]): void {
    this.effects.push(...effects)
  }
}

/** @returns the name of a connection by its number. */
export function nameOf(of: number): string {
  return of.toString(16).padStart(24, '0')
}
