/**
 * Does what `inspect` shows fit the schema documents at the server? They are read first, and kept
 * up to date with what comes.
 */
import {
  inspectFilters,
  inspectMessage,
  loadSchema,
  type SchemaCheck,
  type SchemaChecker,
  type SchemaDocument,
  schemaChecker,
} from '../../bus/index.ts'
import type { ClientHost } from '../../client/index.ts'
import type { InspectFlags } from './inspect-flags.ts'
import { type InspectedMessage, valueIn } from './inspected-text.ts'

/** More than this is not kept of what strangers have published. */
const DOCUMENTS_KEPT_MAX = 1024

export class InspectValidity {
  readonly #flags: InspectFlags
  readonly #checker: SchemaChecker
  readonly #documents = new Map<string, SchemaDocument>()

  private constructor(flags: InspectFlags, checker: SchemaChecker) {
    this.#flags = flags
    this.#checker = checker
  }

  /** @throws UsageError `NO_VALIDATOR` if the package that checks is not installed. */
  static async open(flags: InspectFlags): Promise<InspectValidity> {
    const { trustPatterns = false } = flags
    return new InspectValidity(flags, await schemaChecker({ trustPatterns }))
  }

  /** Reads the documents. It resolves when those that are retained have come. */
  async listen(host: ClientHost): Promise<void> {
    const { prefix, api } = this.#flags
    const filters = inspectFilters({ prefix, api, kinds: ['schema'] })
    const listener = host.listen(filters, { qos: 1, retained: true }, (message) => {
      this.#keep(message.topic, message.payload)
    })
    await host.synced([listener])
  }

  #keep(topic: string, payload: Buffer): void {
    this.#documents.delete(topic)
    const what = inspectMessage({ topic, payload, properties: undefined }, this.#flags.prefix)
    if (what?.kind !== 'schema' || this.#documents.size >= DOCUMENTS_KEPT_MAX) return
    try {
      const document = loadSchema(payload)
      const { api, service } = document
      // Nobody speaks for another API or service.
      if (api !== what.api || service !== what.service) return
      if (majorIn(document.version) === what.major) this.#documents.set(topic, document)
    } catch {
      // What is no document is shown with its fault.
    }
  }

  /** @returns whether what is shown is valid. */
  of({ what, payload }: InspectedMessage): SchemaCheck {
    if (what.kind === 'schema') return documentCheck(payload)
    const { value, ...rest } = valueIn(payload)
    if ('text' in rest || 'base64' in rest) return unchecked('the payload is not JSON')
    const major = what.kind === 'event' ? what.major : majorIn(what.version)
    const documents = [...this.#documents.values()].filter(
      ({ api, version }) => api === what.api && (major === null || majorIn(version) === major),
    )
    return this.#checker.check(documents, { event: what.event }, value)
  }
}

function majorIn(version: string | null): number | null {
  return version === null ? null : Number.parseInt(version, 10)
}

function unchecked(reason: string): SchemaCheck {
  return { verdict: 'unknown', service: null, issues: [], unchecked: [], reason }
}

/** A document is valid if it can be read; an empty payload takes one away. */
function documentCheck(payload: Uint8Array): SchemaCheck {
  const valid: SchemaCheck = { ...unchecked(''), verdict: 'valid', reason: null }
  if (payload.length === 0) return valid
  try {
    return { ...valid, service: loadSchema(payload).service }
  } catch (error) {
    const issues = [{ path: [], message: (error as Error).message }]
    return { ...valid, verdict: 'invalid', issues }
  }
}
