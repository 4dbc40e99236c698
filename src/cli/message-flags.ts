/**
 * What do `pub` and `rr` send, and to which topic? Exactly one flag, or the second word by itself,
 * says what the message is; a command line that leaves it open is refused, because an empty message
 * is a message too.
 */
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import { type QoS, UsageError } from '../index.ts'
import { type ConnectionFlags, keptQos, qosFlag, qosOption, topicOfUrl } from './flags.ts'
import { fileOf } from './tls-flags.ts'

export interface MessageFlags extends ConnectionFlags {
  readonly topic?: string
  readonly message?: string
  readonly file?: string
  readonly nullMessage?: boolean
  readonly stdinFile?: boolean
  readonly stdinLine?: boolean
  readonly qos?: '0' | '1' | '2'
}

interface MessageGiven {
  readonly topic: string
  readonly qos: QoS
  /** Null if each line of standard input is a message. */
  readonly payload: string | Buffer | null
}

export function addMessageFlags(command: Command): Command {
  return command
    .argument('[topic]', 'as -t')
    .argument('[message]', 'as -m; - reads standard input, as -s')
    .option('-t, --topic <topic>', 'the topic')
    .option('-m, --message <text>', 'the message')
    .option('-f, --file <file>', 'the message is the content of this file')
    .option('-n, --null-message', 'an empty message')
    .option('-s, --stdin-file', 'the message is all of standard input')
    .addOption(qosOption('-q, --qos <qos>', 'default: 0; with --session 1'))
}

/**
 * @param words the words of the command line that belong to no flag.
 * @throws UsageError if topic or message are missing, or given twice.
 */
export async function messageFrom(
  words: readonly string[],
  flags: MessageFlags,
): Promise<MessageGiven> {
  const rest = [...words]
  const fromUrl = topicOfUrl(flags)
  const topics = [flags.topic, fromUrl ?? undefined].filter((one) => one !== undefined)
  if (topics.length > 1) throw new UsageError('-t and -L both give a topic; leave one of them out')
  const topic = topics[0] ?? rest.shift()
  if (topic === undefined) {
    throw new UsageError('the topic is missing: write -t topic, or the topic by itself')
  }
  const [word, ...more] = rest
  if (more.length > 0) {
    const given = flags.topic === undefined ? '-L' : '-t'
    throw new UsageError(`${given} gives the topic, so that one word is left: the message`)
  }
  return { topic, qos: qosFlag(flags.qos, keptQos(flags)), payload: await payloadOf(word, flags) }
}

async function payloadOf(
  word: string | undefined,
  flags: MessageFlags,
): Promise<string | Buffer | null> {
  const { message, file, nullMessage, stdinFile, stdinLine } = flags
  const ways = [
    ...(word === undefined ? [] : ['a message by itself']),
    ...(message === undefined ? [] : ['-m']),
    ...(file === undefined ? [] : ['-f']),
    ...(nullMessage ? ['-n'] : []),
    ...(stdinFile ? ['-s'] : []),
    ...(stdinLine ? ['-l'] : []),
  ]
  if (ways.length > 1) throw new UsageError(`${ways.join(' and ')} exclude each other`)
  if (ways.length === 0) {
    throw new UsageError(
      'the message is missing: write it behind the topic, or one of -m text, -f file, -s and -l ' +
        '(standard input), -n (empty)',
    )
  }
  if (nullMessage) return ''
  if (stdinLine) return null
  if (file !== undefined) return fileOf('-f', file)
  if (stdinFile || word === '-') return buffer(process.stdin)
  return message ?? word!
}

/** @returns the lines of a stream, without the byte that ends them; other bytes stay. */
export async function* linesIn(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const newline = 0x0a
  let parts: Buffer[] = []
  for await (const chunk of stream) {
    let from = 0
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, at)])
      parts = []
      from = at + 1
    }
    if (from < chunk.length) parts.push(chunk.subarray(from))
  }
  if (parts.length > 0) yield Buffer.concat(parts)
}
