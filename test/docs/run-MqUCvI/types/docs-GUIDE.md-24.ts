import { setImmediate as turn } from 'node:timers/promises'
import { eventloop, type Platform } from 'it-mqtt'

class TestClock implements Platform {
  #now = 0
  #timers = new Set<{ at: number; callback: () => void }>()

  now = () => this.#now
  random = () => 0.5

  setTimer(callback: () => void, ms: number) {
    const timer = { at: this.#now + ms, callback }
    this.#timers.add(timer)
    return timer
  }

  clearTimer(timer: unknown) {
    this.#timers.delete(timer as { at: number; callback: () => void })
  }

  async advance(ms: number) {
    const end = this.#now + ms
    for (;;) {
      for (let i = 0; i < 10; i++) await turn() // lets promises and streams go on
      const due = [...this.#timers].sort((a, b) => a.at - b.at)[0]
      if (due === undefined || due.at > end) break
      this.#now = due.at
      this.#timers.delete(due)
      due.callback()
    }
    this.#now = end
  }
}

const platform = new TestClock()
let attempts = 0
const loop = eventloop({
  url: 'mqtt://nowhere',
  platform,
  reconnect: 'always',
  transport() {
    attempts++
    throw new Error('no network')
  },
})
const next = loop.next()
await platform.advance(60_000)
console.log(attempts, 'attempts in a minute')
await platform.advance(24 * 3_600_000)
console.log(loop.state.connection.kind, 'after a day')
loop.shutdown()
await next
