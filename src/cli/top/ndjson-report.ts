/**
 * What does `top` write without a terminal? For each interval a line of JSON for each topic that
 * had a message in it.
 */
import type { IncomingPublish } from '../../index.ts'
import { counted, say } from '../fail.ts'
import { write } from '../output.ts'
import type { TopicNode } from './traffic.ts'
import { decodedText } from './value-text.ts'
import { type TopFlags, type Viewer, Watch } from './watch-topics.ts'

interface Changes {
  messages: number
  bytes: number
}

/** @returns the exit status. */
export async function reportTopics(filters: readonly string[], flags: TopFlags): Promise<number> {
  const report = new Report()
  const warned = (message: string) => flags.quiet || say(message)
  const viewer: Viewer = {
    warned,
    counted: (node, packet, isStored) => {
      if (node !== null) report.add(node, packet, isStored)
      else if (watch.traffic.unkept.messages === 1) {
        const most = flags.maxTopics.toLocaleString('en')
        warned(`more than ${most} topics: no lines are written for the others (--max-topics)`)
      }
    },
    removed: () => {},
  }
  const watch = new Watch(filters, flags, viewer)
  let failure: unknown
  const timer = setInterval(() => {
    report.write()?.catch((error: unknown) => {
      failure ??= error
      watch.end()
    })
  }, flags.interval * 1000)
  const status = await watch.run().finally(() => clearInterval(timer))
  if (failure !== undefined) throw failure
  // Ctrl-C does not wait for a reader that has stalled.
  const last = report.write()?.catch(() => {})
  if (status < SIGNALLED) await last
  watch.conclude()
  const { messages, topics } = watch.traffic.unkept
  if (messages > 0) {
    const what = `${counted(messages, 'message')} of ${counted(topics, 'topic')}`
    warned(`no lines were written for ${what} beyond --max-topics`)
  }
  return status
}

/** From this status on a signal was the end. */
const SIGNALLED = 128

/** Gathers the changes of an interval. */
class Report {
  #changes = new Map<TopicNode, Changes>()
  #since = performance.now()
  #writing: Promise<void> | undefined

  add(node: TopicNode, { payload }: IncomingPublish, isStored: boolean): void {
    let changes = this.#changes.get(node)
    if (changes === undefined) {
      changes = { messages: 0, bytes: 0 }
      this.#changes.set(node, changes)
    }
    if (isStored) return
    changes.messages++
    changes.bytes += payload.length
  }

  /** Writes the lines of this interval; a reader that is slow gets longer intervals. */
  write(): Promise<void> | undefined {
    if (this.#writing !== undefined) return undefined
    const now = performance.now()
    const seconds = (now - this.#since) / 1000
    const time = new Date().toISOString()
    const lines = [...this.#changes].map(([node, changes]) => lineOf(node, changes, seconds, time))
    this.#changes = new Map()
    this.#since = now
    if (lines.length === 0) return undefined
    this.#writing = write(lines.join(''))?.finally(() => {
      this.#writing = undefined
    })
    return this.#writing
  }
}

function lineOf(node: TopicNode, changes: Changes, seconds: number, time: string): string {
  const { messages, bytes } = changes
  const own = node.stats.own!
  const { last } = own
  const text = decodedText(last.bytes, last.length)
  const line = {
    time,
    topic: node.path,
    count: messages,
    rate: rounded(messages / seconds),
    bytes,
    bytesPerSecond: rounded(bytes / seconds),
    total: own.messages,
    payload: text ?? { base64: Buffer.from(last.bytes).toString('base64') },
    payloadBytes: last.length,
    qos: last.qos,
    retained: own.isRetained,
  }
  return `${JSON.stringify(line)}\n`
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
