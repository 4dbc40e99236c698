/** What do users write who load a configuration? Types only. */
import type { Platform } from '../../index.ts'

/** The text of a configuration. */
export interface ConfigText {
  /** YAML or JSON, at most 1 MiB. */
  readonly text: string
  /** How it is called in errors. Default `the text`. */
  readonly name?: string | undefined
  /** Default: `json` if it begins with `{`, else `yaml`. */
  readonly format?: 'yaml' | 'json' | undefined
}

/** Settings as a value: an object as docs/GUIDE.md and `configSchema` describe it. */
export type ConfigValue = Readonly<Record<string, unknown>>

/** Where a configuration is. */
export type ConfigSource =
  /** The path of a file, or a URL with `https:`. */
  | string
  /** A URL with `https:` or `file:`. */
  | URL
  | ConfigText
  | ConfigValue
  /** A function that returns a text or settings, or a promise of them. */
  | (() => string | ConfigText | ConfigValue | PromiseLike<string | ConfigText | ConfigValue>)

/** What is used of a response of `fetch`. */
export interface ConfigResponse {
  /** The status of HTTP. */
  readonly status: number
  /** `opaqueredirect` for a redirection whose goal a page cannot see. */
  readonly type: string
  /** Its header. */
  readonly headers: {
    /** Gives the value of a field, or null. */
    get(name: string): string | null
  }
  /** Its bytes, or null. */
  readonly body: {
    /** Begins to read. */
    getReader(): {
      /** Gives the next bytes. */
      read(): Promise<{
        /** Whether there are no more. */
        readonly done: boolean
        /** The bytes. */
        readonly value?: Uint8Array | undefined
      }>
    }
  } | null
}

/** Gets a URL, as `fetch` does. */
export type ConfigFetch = (
  url: URL,
  init: {
    /** Redirections are followed one by one. */
    readonly redirect: 'manual'
    /** Gives the request up. */
    readonly signal: AbortSignal
  },
) => Promise<ConfigResponse>

/** The options of `loadConfig()`. */
export interface LoadConfigOptions {
  /** Settings that come before all others, as the configuration has them. Default: none. */
  readonly overrides?: ConfigValue | undefined
  /** The environment, or false for none. Default: that of the process; none in a browser. */
  readonly env?: Readonly<Record<string, string | undefined>> | false | undefined
  /** Gets `https:` URLs. Default: `fetch` of the runtime. */
  readonly fetch?: ConfigFetch | undefined
  /** The clock of the time limit for `https:`. Default: that of the machine. */
  readonly platform?: Platform | undefined
}
