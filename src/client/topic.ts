/**
 * How does a template such as `plant/{line}/temp` become a filter to subscribe to, a topic to
 * publish to, and the parameters of a received message?
 *
 * The template is taken apart once. `match` is called for each message: it compares in place, and
 * allocates only if the topic matches.
 */
import { UsageError, validateTopic } from '../index.ts'
import { bytes, type Codec, isCodec } from './codec.ts'
import { json } from './json-codec.ts'
import { DOLLAR_CODE, endOfLevel, SEPARATOR_CODE, shownText } from './levels.ts'
import {
  isStandardSchema,
  type SchemaInput,
  type SchemaOutput,
  type StandardSchema,
} from './standard-schema.ts'
import { type ParsedTemplate, parseTemplate } from './template.ts'
import type { ParamsOf, Topic, TopicOptions } from './topic-types.ts'

/** The option names, for those that misspell one. */
const TOPIC_OPTIONS: readonly string[] = ['schema', 'codec', 'qos', 'retain']

/** What all overloads take. */
type AnyTopicOptions = TopicOptions & {
  readonly schema?: StandardSchema | undefined
  readonly codec?: Codec<unknown> | undefined
}

/**
 * Makes a typed topic of a template.
 *
 * `{name}` is a parameter of exactly one level, which is not empty. `{name+}`, at the end only, is
 * one of one or more levels, none of them empty. The wildcards of a plain filter are parameters by
 * number: `+` from 0 in order, one level each, which may be empty, and `#` last, which may be `''`.
 * `$share/name/` in front makes the filter that of a Shared Subscription. (4.8.2)
 *
 * @param template 1 to 65,535 bytes of UTF-8. A name begins with a letter or `_`, and goes on with
 *   letters, digits, `_` and `-`; `__proto__` is none. Braces are for parameters only.
 * @param options `codec` converts between values and payloads; default: `bytes`, or `json` if there
 *   is a schema. `schema` validates values; it must be synchronous. `qos` and `retain` are those of
 *   this topic; default: the client's.
 * @throws UsageError if the template or an option cannot be used; the message names the level.
 */
export function topic<const Template extends string, Schema extends StandardSchema>(
  template: Template,
  options: TopicOptions & { readonly schema: Schema; readonly codec?: Codec<unknown> | undefined },
): Topic<ParamsOf<Template>, SchemaOutput<Schema>, SchemaInput<Schema>>
export function topic<const Template extends string, Value, Sent = Value>(
  template: Template,
  options: TopicOptions & { readonly codec: Codec<Value, Sent>; readonly schema?: undefined },
): Topic<ParamsOf<Template>, Value, Sent>
export function topic<const Template extends string>(
  template: Template,
  options?: TopicOptions & { readonly schema?: undefined; readonly codec?: undefined },
): Topic<ParamsOf<Template>, Uint8Array, Uint8Array | string>
export function topic(template: string, options: AnyTopicOptions = {}): unknown {
  checkTopicOptions(options)
  return new CompiledTopic(template, options)
}

function checkTopicOptions(options: AnyTopicOptions): void {
  const given: unknown = options
  if (typeof given !== 'object' || given === null) {
    throw new UsageError('the options of topic() must be an object')
  }
  for (const name of Object.keys(options)) {
    if (TOPIC_OPTIONS.includes(name)) continue
    const known = TOPIC_OPTIONS.join(', ')
    throw new UsageError(`topic() has no option ${shownText(name)}; it has ${known}`)
  }
  const { schema, codec, qos, retain } = options
  if (schema !== undefined && !isStandardSchema(schema)) {
    throw new UsageError('the option schema of topic() must implement Standard Schema 1')
  }
  if (codec !== undefined && !isCodec(codec)) {
    throw new UsageError('the option codec of topic() must have encode() and decode()')
  }
  if (qos !== undefined && qos !== 0 && qos !== 1 && qos !== 2) {
    throw new UsageError('the option qos of topic() must be 0, 1 or 2')
  }
  if (retain !== undefined && typeof retain !== 'boolean') {
    throw new UsageError('the option retain of topic() must be a boolean')
  }
}

/**
 * Parameters are named by users, so their object has no prototype whose names they could meet. An
 * instance of a class is made and read faster than what Object.create(null) returns.
 */
class NoPrototype {
  [name: string]: string
}
Reflect.deleteProperty(NoPrototype.prototype, 'constructor')
Object.freeze(Object.setPrototypeOf(NoPrototype.prototype, null))

type Params = Readonly<Record<string, string>>

class CompiledTopic {
  readonly template: string
  readonly filter: string
  readonly codec: Codec<unknown>
  readonly schema: StandardSchema | undefined
  readonly qos: TopicOptions['qos']
  readonly retain: boolean | undefined
  /** Taken apart when it is first matched or filled: most plain filters never are. */
  #parsed: ParsedTemplate | null = null

  constructor(template: string, { schema, codec, qos, retain }: AnyTopicOptions) {
    this.template = template
    this.filter = parseTemplate(template).filter
    this.codec = codec ?? (schema === undefined ? bytes : json)
    this.schema = schema
    this.qos = qos
    this.retain = retain
  }

  get #parts(): ParsedTemplate {
    this.#parsed ??= parseTemplate(this.template)
    return this.#parsed
  }

  fill(params: Readonly<Record<string, unknown>> = {}): string {
    const given: unknown = params
    if (typeof given !== 'object' || given === null) throw this.#wrong('must be in an object')
    const { levels, rest, keys } = this.#parts
    for (const key of Object.keys(params)) {
      if (keys.has(key)) continue
      const known = [...keys].map(shownText).join(', ') || 'none'
      throw this.#wrong(`have no ${shownText(key)}; the template has ${known}`)
    }
    const parts = levels.map((level) =>
      level.key === null ? level.text : this.#part(params, level.key, level.isNamed, false),
    )
    if (rest !== null) {
      const { key, isNamed } = rest
      const part = this.#part(params, key, isNamed, true)
      if (part !== '') parts.push(part)
    }
    const filled = parts.join('/')
    if (filled.charCodeAt(0) === DOLLAR_CODE && this.#beginsOpen()) {
      throw this.#wrong(
        'must not make a topic that begins with $, as wildcards match none of these',
      )
    }
    const problem = validateTopic(filled)
    if (problem !== null) throw this.#wrong(`make no valid topic: ${problem}`)
    return filled
  }

  match(name: string): Params | null {
    if (!this.#fits(name)) return null
    const { levels, rest } = this.#parts
    const params = new NoPrototype()
    let start = 0
    for (const { text, key } of levels) {
      if (key === null) {
        start += text.length + 1
        continue
      }
      const end = endOfLevel(name, start)
      params[key] = name.slice(start, end)
      start = end + 1
    }
    if (rest !== null) params[rest.key] = name.slice(start)
    return params
  }

  #fits(name: string): boolean {
    if (name.length === 0) return false
    // A wildcard at the beginning does not match a $. [MQTT-4.7.2-1]
    if (name.charCodeAt(0) === DOLLAR_CODE && this.#beginsOpen()) return false
    const { levels, rest } = this.#parts
    // Where the next level begins; one behind the end if there is none.
    let start = 0
    for (const { text, key, isNamed } of levels) {
      if (start > name.length) return false
      if (key === null) {
        if (!name.startsWith(text, start)) return false
        start += text.length
        if (start < name.length && name.charCodeAt(start) !== SEPARATOR_CODE) return false
      } else {
        const end = endOfLevel(name, start)
        if (isNamed && end === start) return false
        start = end
      }
      start++
    }
    if (rest === null) return start > name.length
    return !rest.isNamed || hasFullLevels(name, start)
  }

  #beginsOpen(): boolean {
    const { levels } = this.#parts
    return levels.length === 0 || levels[0]!.key !== null
  }

  #part(
    params: Readonly<Record<string, unknown>>,
    key: string,
    isNamed: boolean,
    isRest: boolean,
  ): string {
    const value = Object.hasOwn(params, key) ? params[key] : undefined
    const name = shownText(key)
    if (value === undefined) throw this.#wrong(`lack ${name}`)
    if (typeof value !== 'string' && !(typeof value === 'number' && Number.isFinite(value))) {
      throw this.#wrong(`need a string or a finite number for ${name}`)
    }
    const part = String(value)
    const forbidden = (isRest ? /[+#\0]/ : /[/+#\0]/).exec(part)
    if (forbidden !== null) {
      const unit = forbidden[0] === '\0' ? 'U+0000' : forbidden[0]
      throw this.#wrong(`have ${unit} in ${name}, which must not hold it`)
    }
    if (isNamed && part === '') throw this.#wrong(`need ${name}, which is empty`)
    if (isNamed && isRest && !hasFullLevels(part, 0)) {
      throw this.#wrong(`have an empty level in ${name}`)
    }
    return part
  }

  #wrong(problem: string): UsageError {
    const code = 'TOPIC_PARAMS'
    return new UsageError(`the parameters of ${shownText(this.template)} ${problem}`, { code })
  }
}

/** @returns whether there is a level from `start` on, and none is empty. */
function hasFullLevels(name: string, start: number): boolean {
  return (
    start < name.length &&
    name.charCodeAt(start) !== SEPARATOR_CODE &&
    name.charCodeAt(name.length - 1) !== SEPARATOR_CODE &&
    name.indexOf('//', start) < 0
  )
}
