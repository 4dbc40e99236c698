/** What may be chosen for one API beside its time-out and its validation? Checked here, once. */
import type { Codec } from '../client/index.ts'
import { UsageError } from '../index.ts'
import type { Api } from './api-types.ts'
import { LEVELS_OF_LOG } from './bus-log.ts'
import { inQuotes } from './bus-names.ts'
import type { ApiSettings } from './bus-types.ts'
import type { BusLogLevel } from './report-types.ts'
import { schemasWithoutForm } from './schema/json-form.ts'

export const CHOICE_FIELDS = ['log', 'strict', 'codec', 'qos'] as const

/** What holds for an API. */
export interface ApiChoices {
  /** The least level of the lines about it. */
  readonly log: BusLogLevel
  /** Whether it is served only if all of its schemas have a JSON Schema form. */
  readonly isStrict: boolean
  readonly codec: Codec<unknown>
  /** The QoS of what is sent. */
  readonly qos: 0 | 1
}

/** @returns the choices, those that are left out from `common`. @throws UsageError */
export function apiChoices(
  what: string,
  given: Pick<ApiSettings, (typeof CHOICE_FIELDS)[number]>,
  common: ApiChoices,
): ApiChoices {
  const { log = common.log, strict = common.isStrict, codec = common.codec } = given
  const { qos = common.qos } = given
  if (!LEVELS_OF_LOG.includes(log)) {
    throw new UsageError(`${what}: log must be one of ${LEVELS_OF_LOG.join(', ')}`)
  }
  if (typeof strict !== 'boolean') throw new UsageError(`${what}: strict must be true or false`)
  if (typeof Object(codec).encode !== 'function' || typeof Object(codec).decode !== 'function') {
    const needed = 'an object with the functions encode and decode, such as `json`'
    throw new UsageError(`${what}: codec must be ${needed}, not ${inQuotes(codec)}`)
  }
  if (qos !== 0 && qos !== 1) {
    const why = 'listeners subscribe at QoS 1, and recognize what comes again'
    throw new UsageError(`${what}: qos must be 0 or 1: ${why}`)
  }
  return { log, isStrict: strict, codec, qos }
}

/** @throws UsageError if the API has to have a complete schema document, and cannot. */
export function checkStrictly({ isStrict }: ApiChoices, api: Api): void {
  const missing = isStrict ? schemasWithoutForm(api) : []
  if (missing.length === 0) return
  const places = missing.join(', ')
  const remedy = 'use schemas that have one, or leave out `strict`'
  throw new UsageError(
    `serve: ${api.name} is strict, and has no JSON Schema of ${places}; ${remedy}`,
  )
}
