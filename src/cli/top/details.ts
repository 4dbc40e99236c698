/**
 * What is there to say about one topic? Everything that is kept, in lines of any length.
 */
import type { Stats, Value } from './traffic.ts'
import { amount, payloadLines, payloadText, shortDuration } from './value-text.ts'

/** What stands there if the topic came after the screen was paused. */
export const DETAILS_MISSING: readonly string[] = ['The first message came after the pause began.']

/**
 * @param at the instant to show, `since` when counting began, and `epoch` what to add to an
 *   instant for the time of day.
 */
export function detailLines(
  { rate, ...stats }: Readonly<Stats>,
  at: number,
  since: number,
  epoch: number,
): readonly string[] {
  const { messages, bytes, topics, own } = stats
  const mean = messages === 0 ? 'none' : `${amount(bytes / messages)} bytes on average`
  const below = topics - (own === null ? 0 : 1)
  return [
    `messages: ${messages.toLocaleString('en')}, ${mean}${below > 0 ? ', with those below' : ''}`,
    `rate: ${amount(rate.lastSecond(at))}/s in the last second; over ten seconds ` +
      `${amount(rate.messages(at, since))}/s, ${amount(rate.bytes(at, since))} bytes/s`,
    `topics below: ${below.toLocaleString('en')}`,
    ...(own === null
      ? ['No message came for exactly this topic.']
      : [
          `messages of exactly this topic: ${own.messages.toLocaleString('en')}`,
          `retained by the server: ${own.isRetained ? 'yes' : 'not known'}`,
          '',
          `last message: ${whenText(own.last, at, epoch)}, QoS ${own.last.qos}, ` +
            `${own.last.length.toLocaleString('en')} bytes`,
          ...own.last.properties,
          '',
          ...payloadLines(own.last.bytes, own.last.length),
          ...(own.earlier.length === 0 ? [] : ['', 'earlier messages, the latest first:']),
          ...own.earlier.toReversed().map((value) => {
            return `${whenText(value, at, epoch)}  ${payloadText(value.bytes, value.length)}`
          }),
        ]),
  ]
}

function whenText({ at: came, stored }: Value, at: number, epoch: number): string {
  if (stored) return 'stored'
  const time = new Date(came + epoch).toISOString().slice(11)
  return `${time} (${shortDuration(at - came)} ago)`
}
