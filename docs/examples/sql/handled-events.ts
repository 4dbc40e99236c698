/**
 * Events whose work is done once, in PostgreSQL: the name of an event is written in the transaction
 * of its work, so that both are there or neither is, whenever the process ends.
 */
import type { BusEvent, EventDedupe } from 'it-mqtt/bus'
import type { Pool, PoolClient } from 'pg'

export const HANDLED_EVENTS = `
  CREATE TABLE IF NOT EXISTS handled_events (
    id text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
  )`

const MARK = 'INSERT INTO handled_events (id) VALUES ($1) ON CONFLICT DO NOTHING'

/** What a listener is given as `dedupe: { store }`. */
export function handledEvents(pool: Pool): EventDedupe {
  return {
    async seen(id) {
      const { rowCount } = await pool.query('SELECT 1 FROM handled_events WHERE id = $1', [id])
      return rowCount === 1
    },
    // The handler has written it already, unless the event was given up.
    done: (id) => pool.query(MARK, [id]),
  }
}

/**
 * Does the work of an event in a transaction, unless it is done already. Of two processes that have
 * the same event, the second one waits for the first one's transaction.
 */
export async function handleOnce(
  pool: Pool,
  event: Pick<BusEvent, 'dedupeId'>,
  work: (db: PoolClient) => Promise<void>,
): Promise<void> {
  const db = await pool.connect()
  try {
    await db.query('BEGIN')
    const { rowCount } = await db.query(MARK, [event.dedupeId])
    if (rowCount === 1) await work(db)
    await db.query('COMMIT')
  } catch (error) {
    await db.query('ROLLBACK')
    throw error
  } finally {
    db.release()
  }
}
