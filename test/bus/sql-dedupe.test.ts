/**
 * Goal: with the mark of an event in the transaction of its work, the work is done once, whenever
 * the process or its connection ends (B7). Method: PostgreSQL, and SQLite where Node has it; a
 * broker in memory that cuts the connection between the work and the acknowledgement.
 */
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  HANDLED_EVENTS,
  handledEvents,
  handleOnce,
} from '../../docs/examples/sql/handled-events.ts'
import { type BusEvent, createBus, type EventDedupe } from '../../src/bus/index.ts'
import { createBroker } from '../../src/testing/index.ts'
import { Postgres } from '../support/postgres.ts'
import { until } from '../support/process.ts'
import { answers, auth } from './bus-world.ts'

const ada = { name: 'Ada', age: '36' }
const REQUIRED = process.env['IT_MQTT_REQUIRE_BROKERS'] === '1'

/** A database in which the work of an event is a row of `mails`. */
interface Mails {
  readonly store: EventDedupe
  /** Adds a row, with the mark of the event, in a transaction. @throws what `after` throws. */
  work(event: BusEvent, after?: () => Promise<void>): Promise<void>
  rows(): Promise<readonly string[]>
  clear(): Promise<void>
  close(): Promise<void>
}

async function inPostgres(): Promise<Mails | null> {
  const server = await Postgres.start()
  if (server === null) return null
  const pool = new Pool({ ...server.options, max: 4 })
  await pool.query(HANDLED_EVENTS)
  await pool.query('CREATE TABLE mails (name text)')
  return {
    store: handledEvents(pool),
    work: (event, after) =>
      handleOnce(pool, event, async (db) => {
        await db.query('INSERT INTO mails VALUES ($1)', [(event.value as typeof ada).name])
        await after?.()
      }),
    rows: async () => (await pool.query('SELECT name FROM mails')).rows.map(({ name }) => name),
    clear: async () => {
      await pool.query('DELETE FROM mails')
      await pool.query('DELETE FROM handled_events')
    },
    close: async () => {
      await pool.end()
      await server.stop()
    },
  }
}

interface Sqlite {
  exec(sql: string): void
  prepare(sql: string): {
    run(...values: unknown[]): { readonly changes: number }
    all(...values: unknown[]): readonly Record<string, unknown>[]
  }
  close(): void
}

async function inSqlite(): Promise<Mails | null> {
  const name = 'node:sqlite'
  const found = await import(name).catch(() => null)
  if (found === null) return null
  const db = new (found as { DatabaseSync: new (path: string) => Sqlite }).DatabaseSync(':memory:')
  db.exec('CREATE TABLE handled (id TEXT PRIMARY KEY); CREATE TABLE mails (name TEXT)')
  const mark = db.prepare('INSERT OR IGNORE INTO handled VALUES (?)')
  // A connection has one transaction at a time.
  let last: Promise<unknown> = Promise.resolve()
  const transaction = async (event: BusEvent, after?: () => Promise<void>) => {
    db.exec('BEGIN')
    try {
      if (mark.run(event.dedupeId).changes === 1) {
        db.prepare('INSERT INTO mails VALUES (?)').run((event.value as typeof ada).name)
        await after?.()
      }
      db.exec('COMMIT')
    } catch (error) {
      db.exec('ROLLBACK')
      throw error
    }
  }
  return {
    store: {
      seen: (id) => db.prepare('SELECT 1 FROM handled WHERE id = ?').all(id).length > 0,
      done: (id) => mark.run(id),
    },
    work: (event, after) => {
      const result = last.then(() => transaction(event, after))
      last = result.catch(() => {})
      return result
    },
    rows: async () =>
      db
        .prepare('SELECT name FROM mails')
        .all()
        .map(({ name }) => String(name)),
    clear: async () => db.exec('DELETE FROM mails; DELETE FROM handled'),
    close: async () => db.close(),
  }
}

describe.each([
  ['PostgreSQL', inPostgres, REQUIRED],
  ['SQLite', inSqlite, false],
] as const)('%s', (name, open, isRequired) => {
  let mails: Mails | null = null
  beforeAll(async () => {
    mails = await open()
    if (mails === null && isRequired) throw new Error(`${name} is required and not installed`)
  })
  afterAll(() => mails?.close())

  /** A service that fires, and processes of a listener whose work is `handle`. */
  async function story(processes: number, handle: (event: BusEvent) => Promise<void>) {
    await mails!.clear()
    const broker = createBroker()
    const client = { transport: broker.transport, reconnect: { when: 'always', minMs: 5 } } as const
    const server = createBus({ service: 'server', process: 'p', client })
    server.serve(auth, answers)
    const buses = [server]
    for (let i = 0; i < processes; i++) {
      const bus = createBus({ service: 'mail', process: `p${i}`, client })
      const options = { dedupe: { store: mails!.store }, onError: 'retry' } as const
      bus.api(auth).registered.listen('welcome', { ...options, retry: { minMs: 1 } }, handle)
      buses.push(bus)
    }
    for (const bus of buses) void bus.run()
    const isGranted = () => broker.packets('suback').length > processes
    await until(isGranted, 'all have subscribed')
    onTestFinished(async () => {
      await Promise.all(buses.map((bus) => bus.close()))
      broker.close()
    })
    const fire = (id: string) => server.fire(auth, 'registered', { ...ada, name: id }, { id })
    const isQuiet = () =>
      [...broker.sessions.values()].every(({ inflight, queued }) => inflight + queued === 0)
    return { broker, fire, isQuiet }
  }

  test(`[B7] ${name}: a cut between the work and the acknowledgement repeats no work`, async (context) => {
    if (mails === null) return context.skip(`${name} is not installed: not run`)
    let begun = 0
    const { broker, fire, isQuiet } = await story(1, async (event) => {
      begun++
      await mails!.work(event)
    })
    const isAck = { cmd: 'puback', clientId: 'bus.mail.welcome@p0' } as const
    broker.faults.kill(isAck, { times: 3 })
    for (const id of ['a', 'b', 'c']) await fire(id)
    await until(isQuiet, 'all is acknowledged')
    expect(await mails.rows()).toEqual(['a', 'b', 'c'])
    expect(begun).toBe(3)
  })

  test(`[B7] ${name}: work that fails leaves no mark, and is done in the end`, async (context) => {
    if (mails === null) return context.skip(`${name} is not installed: not run`)
    let left = 2
    const { fire, isQuiet } = await story(1, (event) =>
      mails!.work(event, async () => {
        if (left-- > 0) throw new Error('not yet')
      }),
    )
    await fire('a')
    await until(isQuiet, 'all is acknowledged')
    expect(await mails.rows()).toEqual(['a'])
    expect(left).toBe(-1)
  })

  test(`[B7] ${name}: two processes that have an event at the same time do its work once`, async (context) => {
    if (mails === null) return context.skip(`${name} is not installed: not run`)
    let begun = 0
    const { fire, isQuiet } = await story(2, async (event) => {
      begun++
      // Neither goes on before both have begun, so that neither is known to the other.
      await until(() => begun === 2, 'both have begun')
      await mails!.work(event)
    })
    await Promise.all([fire('a'), fire('a')])
    await until(isQuiet, 'all is acknowledged')
    expect(await mails.rows()).toEqual(['a'])
    expect(begun).toBe(2)
  })
})
