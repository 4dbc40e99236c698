/**
 * Deliberate faults: each breaks the engine in one place, as a patch to a copy of it. A simulation
 * that does not find them is worth nothing.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { temporaryFolder } from '../support/process.ts'
import type { Subject } from './world.ts'

export interface Fault {
  readonly name: string
  /** Path within src. */
  readonly file: string
  /** Text that stands there exactly once. */
  readonly find: string
  readonly replace: string
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'what is sent again has no DUP',
    file: 'protocol/outgoing.ts',
    find: 'dup: true, expirySeconds',
    replace: 'dup: false, expirySeconds',
  },
  {
    name: 'after a PUBREC it is the PUBLISH that is sent again',
    file: 'protocol/outgoing.ts',
    find: "if (stage === 'pubrel') {\n    d.outgoing.releasing++",
    replace: "if (stage === ('never' as string)) {\n    d.outgoing.releasing++",
  },
  {
    name: 'the Receive Maximum of the server is not heeded',
    file: 'protocol/window.ts',
    find: 'Math.min(connection.limits.receiveMaximum, config.maxInflight)',
    replace: 'config.maxInflight',
  },
  {
    name: 'an identifier that is open is used again',
    file: 'protocol/opening.ts',
    find: 'while (d.open.get(id) !== undefined)',
    replace: 'id = d.connection.epoch > 1 ? 1 + (id % 8) : id\n  while (false)',
  },
  {
    name: 'a QoS 2 message that comes again is yielded again',
    file: 'protocol/incoming.ts',
    find: "(known.stage === 'handled' || known.stage === 'arrived')",
    replace: "(known.stage === 'handled')",
  },
  {
    name: 'a message is acknowledged as it is yielded, not as it is handled',
    file: 'protocol/engine.ts',
    find: 'if (input.handledThrough > 0) handledThrough(d, input.handledThrough)',
    replace: "if (d.config.acks === 'pull') handledThrough(d, input.yieldedThrough)",
  },
  {
    name: 'acknowledgements overtake each other',
    file: 'protocol/incoming.ts',
    find: '      if (!head.acknowledged) return\n',
    replace:
      '      if (!head.acknowledged) {\n        incoming.pendingFrom++\n        continue\n      }\n',
  },
  {
    name: 'traffic in one direction spares the PINGREQ',
    file: 'protocol/keepalive.ts',
    find: 'Math.min(s.sentAt, s.receivedAt) + s.intervalMs',
    replace: 'Math.max(s.sentAt, s.receivedAt) + s.intervalMs',
  },
  {
    name: 'a PINGREQ may go unanswered',
    file: 'protocol/keepalive.ts',
    find: 'return s.pingTakenAt + s.intervalMs / 2',
    replace: 'return Infinity',
  },
  {
    name: 'the next attempt follows immediately',
    file: 'protocol/reconnect.ts',
    find: 'return policy.minMs + spread * span',
    replace: 'return 0',
  },
  {
    name: 'subscriptions are not renewed',
    file: 'protocol/connecting.ts',
    find: 'queueRenewals(d, renewals, makeRenewals(d, apart, 1))',
    replace: 'queueRenewals(d, [], [])',
  },
  {
    name: 'a lost session takes what was in flight with it',
    file: 'protocol/resuming.ts',
    find: 'again.push({ facts, order, strikes })',
    replace: "if (facts.kind !== 'publish') again.push({ facts, order, strikes })",
  },
  {
    name: 'the order of what is sent again is that of the identifiers',
    file: 'protocol/resuming.ts',
    find: 'sort(([, a], [, b]) => a.order - b.order)',
    replace: 'sort(([a], [b]) => (a * 40503) % 65536 - ((b * 40503) % 65536))',
  },
  {
    name: 'a key that the session holds is sent again',
    file: 'requests/ledger.ts',
    find: 'const handle = keys.handleOf(key)',
    replace: 'const handle = undefined as number | undefined',
  },
  {
    name: 'something is written after DISCONNECT',
    file: 'loop/perform.ts',
    find: '!(gone || link.closing)',
    replace: '!gone',
  },
  {
    name: 'an alias is used before its topic was sent',
    file: 'codec/topic-aliases.ts',
    find: 'this.isKnown = known !== undefined',
    replace: 'this.isKnown = true',
  },
  {
    name: 'the end leaves a timer',
    file: 'loop/ending.ts',
    find: '  loop.stopTimer()\n',
    replace: '',
  },
  {
    name: "the consumer's buffer has no bound",
    file: 'protocol/queries.ts',
    find: 'return Math.max(1, config.maxBufferedPackets - flow.bufferedPackets)',
    replace: 'return 1_000_000',
  },
  {
    name: 'the stream is not closed when the consumer leaves',
    file: 'requests/source.ts',
    find: 'this.#iterator.return?.()',
    replace: 'undefined',
  },
  {
    name: 'a failed commit waits for ever',
    file: 'loop/commit-gate.ts',
    find: 'this.#broken = true\n        this.#waiting = []\n        this.#listener',
    replace: 'this.#asking = new Promise(() => {})\n        this.#listener',
  },
  {
    name: 'nothing is isolated',
    file: 'protocol/window.ts',
    find: 'return session.cautious\n}',
    replace: 'return false\n}',
  },
  {
    name: 'renewals are not isolated',
    file: 'protocol/suspicion.ts',
    find: 'filter === topic && strikes >= SUSPECT',
    replace: 'filter === topic && strikes >= 1_000',
  },
  {
    name: 'a loss counts against what was not alone',
    file: 'protocol/suspicion.ts',
    find: 'open.length + unproven.length === 1',
    replace: 'open.length > 0',
  },
  {
    name: 'a loss counts against what waits for a commit',
    file: 'protocol/suspicion.ts',
    find: 'isolation?.handed === messageId',
    replace: 'true',
  },
  {
    name: 'a PUBACK for a publish at QoS 2 is not lived with',
    file: 'protocol/deviations.ts',
    find: 'ACKNOWLEDGED_AT_OTHER_QOS: {\n    ...{ ...GO_ON,',
    replace: 'ACKNOWLEDGED_AT_OTHER_QOS: {\n    ...{ ...CLOSE,',
  },
  {
    name: 'more than Receive Maximum is not lived with',
    file: 'protocol/deviations.ts',
    find: 'RECEIVE_MAXIMUM_EXCEEDED: {\n    ...{ ...GO_ON,',
    replace: 'RECEIVE_MAXIMUM_EXCEEDED: {\n    ...{ ...CLOSE,',
  },
  {
    name: 'reserved bits are not lived with',
    file: 'protocol/deviations.ts',
    find: 'RESERVED_BITS: {\n    ...{ ...GO_ON,',
    replace: 'RESERVED_BITS: {\n    ...{ ...CLOSE,',
  },
  {
    name: 'unknown reason codes are not lived with',
    file: 'protocol/deviations.ts',
    find: 'UNKNOWN_REASON_CODE: {\n    ...{ ...GO_ON,',
    replace: 'UNKNOWN_REASON_CODE: {\n    ...{ ...CLOSE,',
  },
  {
    name: 'a refusal with a code of MQTT 5 is none in a SUBACK',
    file: 'protocol/acknowledgements.ts',
    find: 'whole.granted.find((code) => code >= 0x80)',
    replace: 'whole.granted.find((code) => code === 0x80)',
  },
  {
    name: 'a resumed session is believed to have its shared subscriptions',
    file: 'protocol/renewing.ts',
    find: 'return ({ topic }) => isShared(topic)',
    replace: 'return () => false',
  },
  {
    name: 'a session that is present is believed to have its subscriptions',
    file: 'protocol/renewing.ts',
    find: 'keptBy === NEVER || (connection.protocolVersion === 5 && keptBy !== host)',
    replace: 'false',
  },
  {
    name: 'a PUBCOMP for a cleared identifier counts for its message',
    file: 'protocol/acknowledgements.ts',
    find: "if (d.config.tolerance === 'strict') d.open.set(",
    replace: 'd.open.set(',
  },
]

/** Makes a copy of the engine with one fault. */
export function faulty(fault: Fault): Promise<Subject> {
  return faultyCopy(fault, 'index.ts')
}

/** Makes a copy of an entry and all that it imports, with one fault. */
export async function faultyCopy<Entry>(
  { name, file, find, replace }: Fault,
  entry: string,
): Promise<Entry> {
  const root = new URL('../../src/', import.meta.url).pathname
  const target = join(root, file)
  let applied = false
  const plugin: Plugin = {
    name: 'fault',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (path !== target) return undefined
        const text = readFileSync(path, 'utf8')
        const parts = text.split(find)
        if (parts.length !== 2)
          throw new Error(`"${name}": ${file} has it ${parts.length - 1} times`)
        applied = true
        return { contents: parts.join(replace), loader: 'ts' }
      })
    },
  }
  const { path: folder, remove } = temporaryFolder()
  const outfile = join(folder, 'engine.mjs')
  try {
    await build({
      entryPoints: [join(root, entry)],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'silent',
      plugins: [plugin],
      // mqtt-packet is CommonJS and requires parts of Node.
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
    })
    if (!applied) throw new Error(`"${name}": ${entry} imports no file ${file}`)
    return (await import(pathToFileURL(outfile).href)) as Entry
  } finally {
    rmSync(outfile, { force: true })
    remove()
  }
}
