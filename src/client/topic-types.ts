/**
 * Which parameters does a topic template have, and what is a topic of it? Types only: the compiler
 * reads the names out of the template.
 */
import type { QoS } from '../index.ts'
import type { Codec } from './codec.ts'
import type { StandardSchema } from './standard-schema.ts'

/** The parameters of a topic: a text for each name, or for the number of each wildcard. */
export type TopicParams = Readonly<Record<string, string>>

/** A template without its `$share/name/`. */
type Matched<Template extends string> = Template extends `$share/${string}/${infer Filter}`
  ? Filter
  : Template

/** The key of one level: the name of a parameter, the number of a wildcard, or none. */
type KeyOf<Level extends string, Wildcards extends readonly unknown[]> = Level extends '+' | '#'
  ? Wildcards['length']
  : Level extends `{${infer Name}+}`
    ? Name
    : Level extends `{${infer Name}}`
      ? Name
      : never

/** The wildcards that were counted so far, and one more if this level is one. */
type Counted<Level extends string, Wildcards extends readonly unknown[]> = Level extends '+' | '#'
  ? readonly [...Wildcards, Level]
  : Wildcards

type KeysOf<
  Levels extends string,
  Wildcards extends readonly unknown[] = readonly [],
  Found = never,
> = Levels extends `${infer First}/${infer Rest}`
  ? KeysOf<Rest, Counted<First, Wildcards>, Found | KeyOf<First, Wildcards>>
  : Found | KeyOf<Levels, Wildcards>

/**
 * The parameters of a template: `ParamsOf<'plant/{line}/{path+}'>` has `line` and `path`,
 * `ParamsOf<'a/+/#'>` has `0` and `1`, and each is a string. Of a text that is not known when the
 * program is compiled, it is `TopicParams`.
 */
export type ParamsOf<Template extends string> = Template extends unknown
  ? string extends Template
    ? TopicParams
    : { readonly [Key in KeysOf<Matched<Template>> & PropertyKey]: string }
  : never

/** The parameters of a filter, a template or a `Topic`. */
type ParamsOfFilter<Filter> = Filter extends string
  ? ParamsOf<Filter>
  : Filter extends Topic<infer Params, infer _Value, infer _Sent>
    ? Params
    : never

/** Adds the names that only others have, without a value, so that each name can be asked for. */
type WithNames<Params, Names extends PropertyKey> = string extends Names
  ? Params
  : Params extends unknown
    ? Params & { readonly [Name in Exclude<Names, keyof Params>]?: undefined }
    : never

/** The names of the parameters, of every member of a union. */
type NamesOf<Params> = Params extends unknown ? keyof Params : never

/**
 * The parameters of a message that matches one of several filters: a union. A name that one of them
 * lacks is `undefined` there, so that `params.line !== undefined` tells which it is.
 */
export type ParamsOfEach<Filter> = WithNames<
  ParamsOfFilter<Filter>,
  NamesOf<ParamsOfFilter<Filter>>
>

/** The values of messages that match one of several filters: a union. Of text it is bytes. */
export type ValueOfEach<Filter> = Filter extends string
  ? Uint8Array
  : Filter extends Topic<infer _Params, infer Value, infer _Sent>
    ? Value
    : never

/** What `fill` takes: a text for each parameter, or a finite number, which becomes text. */
export type FillParams<Params> = { readonly [Key in keyof Params]: string | number }

/** The options of `topic()` that do not concern its values. */
export interface TopicOptions {
  /** The QoS of publishes and subscriptions. Default: that of the client. */
  readonly qos?: QoS | undefined
  /** Whether publishes are retained. Default: false. */
  readonly retain?: boolean | undefined
}

/**
 * A topic with parameters, and with the type of its values.
 *
 * `Params` has the parameters, `Value` is the type of received values, and `Sent` that of values to
 * publish; it differs from `Value` if a schema transforms.
 */
export interface Topic<Params = TopicParams, Value = Uint8Array, Sent = Value> {
  /** The template as it was given. */
  readonly template: string
  /**
   * The Topic Filter to subscribe to: `+` in place of `{name}`, `#` in place of `{name+}`, with
   * `$share/name/` in front if the template has it. It can match more than `match` accepts, since
   * wildcards of MQTT match empty levels, and `#` matches none at all.
   */
  readonly filter: string
  /** Converts between values and payloads. */
  readonly codec: Codec<unknown>
  /** Validates values, if there is a schema. */
  readonly schema: StandardSchema<Sent, Value> | undefined
  /** The QoS of publishes and subscriptions, if this topic has its own. */
  readonly qos: QoS | undefined
  /** Whether publishes are retained, if this topic says so. */
  readonly retain: boolean | undefined
  /**
   * Makes a Topic Name of the parameters, to publish to. `$share/name/` is left out.
   *
   * @param params each parameter. `{name}` takes one level, which is not empty. `{name+}` takes one
   *   or more, separated by `/`, none of them empty. `+` takes one level, which may be empty. `#`
   *   takes any, and `''` means none.
   * @throws UsageError with code `TOPIC_PARAMS` if one is missing, empty, unknown, not a text or a
   *   finite number, or holds `+`, `#`, U+0000 or a `/` that it may not hold; or if the topic would
   *   be longer than 65,535 bytes, or begin with a `$` that comes from a parameter [MQTT-4.7.2-1].
   */
  fill(
    ...params: keyof Params extends never
      ? [params?: Readonly<Record<string, never>>]
      : [params: FillParams<Params>]
  ): string
  /**
   * Takes a Topic Name apart. This is the inverse of `fill`: what one accepts, the other makes. One
   * exception: `#` gives `''` for no level and also for a single empty one.
   *
   * @param topic a valid Topic Name, as messages have it.
   * @returns the parameters, in an object without a prototype, or null if the topic does not match.
   */
  match(topic: string): Params | null
}
