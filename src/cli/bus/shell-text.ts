/** How does a shell write values and errors? What a terminal would obey is escaped. */
import { inspect as inspectValue } from 'node:util'
import { MqttError, RefusedError } from '../../index.ts'
import { oneLine } from '../fail.ts'
import { safeText } from '../top/safe-text.ts'
import { inWords } from '../words.ts'

/** @returns an error in one line: its code, its text, and the data of one that an API declares. */
export function shellErrorText(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  const data = error instanceof RefusedError ? error.remote?.data : undefined
  const name = typeof code === 'string' ? code : error.name
  const text = error instanceof MqttError ? inWords(error.message) : error.message
  const more =
    data === undefined ? '' : ` ${inspectValue(data, { breakLength: Number.POSITIVE_INFINITY })}`
  return safeText(oneLine(`${name}: ${text}${more}`))
}

/** @returns a value in lines, as a terminal shows it. */
export function shellValueText(value: unknown, colors: boolean): string {
  if (value instanceof Error) return shellErrorText(value)
  return inspectValue(value, { colors, depth: 8 })
}

/** @returns a value as a line of JSON; empty if it has no JSON. @throws TypeError */
export function shellJson(value: unknown): string {
  const text: string | undefined = JSON.stringify(value)
  return text === undefined ? '' : `${text}\n`
}
