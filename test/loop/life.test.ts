/**
 * Goal: the life of a loop is one state with a total table, and each arrow of the table is walked by a real loop. Method: for
 * each cell that is not null, a recipe brings a loop into the state and makes the event happen; every other cell is refused.
 */
import { describe, expect, test } from 'vitest'
import { BugError } from '../../src/errors.ts'
import { establish } from '../../src/loop/beginning.ts'
import { leave } from '../../src/loop/ending.ts'
import { LIFE, type Life, type LifeEvent, lifeAfter } from '../../src/loop/life.ts'
import { Loop } from '../../src/loop/loop.ts'
import { resolveOptions } from '../../src/options/resolve.ts'
import type { Session, SessionStore } from '../../src/requests/session.ts'
import { VirtualClock } from '../support/clock.ts'
import { ScriptedServer } from '../support/server.ts'

/** A store whose `close` waits until it is told to resolve: the only thing that an end waits for. */
class SlowStore implements SessionStore {
  finish = (): void => {}
  async load(): Promise<Session | null> {
    return null
  }
  async commit(): Promise<void> {}
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.finish = resolve
    })
  }
}

class Stage {
  readonly clock = new VirtualClock()
  readonly server = new ScriptedServer(this.clock)
  readonly store = new SlowStore()
  readonly loop: Loop

  constructor() {
    const options = { clientId: 'c', platform: this.clock, transport: this.server.transport }
    const resolved = resolveOptions({
      ...options,
      session: this.store,
      until: 'closed',
    })
    this.loop = new Loop(resolved, null, null, null)
  }

  /** Calls `next()` and does not wait for it. */
  pull(): void {
    this.loop.next().catch(() => {})
  }

  async settle(): Promise<void> {
    await this.clock.settle()
  }

  /** Fails the loop as the reducers do, and sees the transport close. */
  async fail(): Promise<void> {
    this.loop.end({ reason: new Error('over') })
    await this.settle()
  }
}

/** How a loop comes into each state, by events of the table only. */
const reach: { readonly [state in Life]: (stage: Stage) => Promise<void> } = {
  unbegun: async () => {},
  establishing: async (stage) => {
    stage.server.autoConnack = false
    establish(stage.loop).catch(() => {})
    await stage.settle()
  },
  established: async (stage) => {
    establish(stage.loop).catch(() => {})
    await stage.settle()
  },
  live: async (stage) => {
    stage.pull()
    await stage.settle()
  },
  leaving: async (stage) => {
    await reach.live(stage)
    leave(stage.loop)
  },
  storing: async (stage) => {
    await reach.live(stage)
    await stage.fail()
  },
  over: async (stage) => {
    await reach.storing(stage)
    stage.store.finish()
    await stage.settle()
  },
}

const cause: { readonly [event in LifeEvent]: (stage: Stage) => Promise<void> | void } = {
  next: (stage) => stage.pull(),
  establish: (stage) => {
    stage.server.autoConnack = false
    establish(stage.loop).catch(() => {})
  },
  accepted: (stage) => stage.server.current.connack(),
  leave: (stage) => leave(stage.loop),
  ended: (stage) => stage.fail(),
  stored: (stage) => stage.store.finish(),
}

const cells = Object.entries(LIFE).flatMap(([from, row]) =>
  Object.entries(row).map(([event, to]) => ({
    from: from as Life,
    event: event as LifeEvent,
    to: to as Life | null,
  })),
)

describe('[N4] the life of a loop', () => {
  test.each(cells.filter(({ to }) => to !== null))('$from, $event: $to', async (cell) => {
    const stage = new Stage()
    await reach[cell.from](stage)
    expect(stage.loop.life).toBe(cell.from)
    await cause[cell.event](stage)
    await stage.settle()
    expect(stage.loop.life).toBe(cell.to)
  })

  test.each(cells.filter(({ to }) => to === null))('$from, $event: a defect', ({ from, event }) => {
    expect(() => lifeAfter(from, event)).toThrow(BugError)
  })

  test('the table is total: 7 states, 6 events', () => {
    expect(cells).toHaveLength(42)
  })
})
