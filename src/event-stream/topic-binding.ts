/**
 * How do Smithy's MQTT bindings (`smithy.mqtt#publish`, `#subscribe`, `#topicLabel`) use topics? A
 * label is a whole level of a `topic()` of the client; the template of the model is its template.
 */
import type { Topic } from '../client/index.ts'
import { UsageError } from '../index.ts'
import { typeNameOf } from './codec/message-encoder.ts'

/** The value of a label: of a string, a number, a boolean or a timestamp of the model. */
export type LabelValue = string | number | bigint | boolean | Date

/** The topic of an operation, whose labels are values. */
export interface TopicBinding<Params> {
  /** The Topic Filter to subscribe to for all values of the labels. */
  readonly filter: string
  /**
   * Makes the Topic Name: a `/` in text becomes `%2F`, numbers and booleans are written as they
   * are, and instants as RFC 3339 says.
   * @throws UsageError with `TOPIC_PARAMS`, as `fill()` of a topic: `+`, `#` and U+0000 cannot
   *   stand in a topic, and an empty text is no label
   */
  fill(labels: { readonly [Name in keyof Params]: LabelValue }): string
  /**
   * Takes a Topic Name apart.
   * @returns the labels as text, `%2F` read as `/`; or null if the topic is another one
   */
  match(topic: string): { readonly [Name in keyof Params]: string } | null
}

/**
 * Binds a topic as Smithy does.
 * @param topic what `topic()` of `it-mqtt/client` made of the template in the model
 * @throws UsageError if the template has wildcards, several levels in a label, or `$share`
 */
export function bindTopic<Params, Value, Sent>(
  topic: Topic<Params, Value, Sent>,
): TopicBinding<Params> {
  const { template, filter } = topic
  if (/[+#]/.test(template) || template.startsWith('$share/')) {
    throw new UsageError(`"${template}" is no topic of a Smithy model: it holds + or # or $share`)
  }
  const fill = topic.fill as (params: Readonly<Record<string, string>>) => string
  return {
    filter,
    fill(labels) {
      const entries = Object.entries(labels as Record<string, LabelValue>)
      const texts = entries.map(([name, value]) => [name, labelText(name, value)])
      return fill.call(topic, Object.fromEntries(texts))
    },
    match(name) {
      const params = topic.match(name) as Readonly<Record<string, string>> | null
      if (params === null) return null
      const texts = Object.entries(params).map(([key, text]) => [key, text.replaceAll('%2F', '/')])
      return Object.fromEntries(texts) as { readonly [Name in keyof Params]: string }
    },
  }
}

function labelText(name: string, value: LabelValue): string {
  if (typeof value === 'string') return value.replaceAll('/', '%2F')
  if (value instanceof Date && !Number.isNaN(value.getTime())) {
    // The fraction of a second is optional, and so are its last zeros.
    return value.toISOString().replace(/\.?0+Z$/, 'Z')
  }
  const isNumber = typeof value === 'bigint' || Number.isFinite(value)
  if (isNumber || typeof value === 'boolean') return String(value)
  const taken = 'text, a finite number, a boolean or a valid Date'
  const text = `the label "${name}" must be ${taken}, not ${typeNameOf(value)}`
  throw new UsageError(text, { code: 'TOPIC_PARAMS' })
}

/** A topic of a model, and the shape that its payload has. */
export interface ModeledTopic {
  /** The template, such as `device/{id}/state`, or a `Topic` with it. */
  readonly topic: string | Pick<Topic, 'template'>
  /** What the payload is: any value that is the same for the same shape, such as its name. */
  readonly shape: unknown
}

/**
 * Checks that no topic has payloads of two shapes. Two topics conflict if they have the same number
 * of levels, the same text in the same fixed levels, and labels in the same places.
 * @throws UsageError `TOPIC_CONFLICT`, which names both
 */
export function checkTopics(topics: Iterable<ModeledTopic>): void {
  const known = new Map<string, { readonly template: string; readonly shape: unknown }>()
  for (const { topic, shape } of topics) {
    const template = typeof topic === 'string' ? topic : topic.template
    // Names of labels do not count; no fixed level has a brace.
    const levels = template.replaceAll(/(^|\/)\{[^{}/]*\}(?=\/|$)/g, '$1{}')
    const other = known.get(levels)
    if (other === undefined) known.set(levels, { template, shape })
    else if (other.shape !== shape) {
      const text = `the topics "${other.template}" and "${template}" conflict: they can be the same`
      throw new UsageError(`${text}, and their payloads are not`, { code: 'TOPIC_CONFLICT' })
    }
  }
}
