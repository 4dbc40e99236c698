/**
 * Is a topic template valid, and which levels does it have? Every problem names the level, counted
 * from 1, with those of `$share/name/`.
 */
import { UsageError, validateFilter } from '../index.ts'
import { shareLength, shownText } from './levels.ts'

/** A level of a template that matches exactly one level of a topic. */
interface TemplateLevel {
  /** The text of a fixed level. */
  readonly text: string
  /** The parameter, or null if the level is fixed. */
  readonly key: string | null
  /** Whether the parameter has a name. One without (`+`) may be empty. */
  readonly isNamed: boolean
}

/** The last level of a template, if it matches several levels of a topic. */
interface TemplateRest {
  readonly key: string
  readonly isNamed: boolean
}

/** A template that was taken apart. */
export interface ParsedTemplate {
  readonly filter: string
  readonly levels: readonly TemplateLevel[]
  readonly rest: TemplateRest | null
  readonly keys: ReadonlySet<string>
}

/**
 * Names go into objects and into types. `__proto__` is refused: in an object literal it would set a
 * prototype and no parameter.
 */
const PARAMETER_NAME = /^(?!__proto__$)[\p{L}_][\p{L}\p{N}_-]*$/u

/** @throws UsageError if the template cannot be used. */
export function parseTemplate(template: string): ParsedTemplate {
  const given: unknown = template
  if (typeof given !== 'string') throw new UsageError('a topic template must be a string')
  if (template === '') throw new UsageError('a topic template must not be empty')
  const share = template.slice(0, shareLength(template))
  if (/[{}]/.test(share)) throw wrongLevel(template, 1, share.split('/')[1]!, 'holds a brace')
  const levels: TemplateLevel[] = []
  const filters: string[] = []
  const keys = new Set<string>()
  let rest: TemplateRest | null = null
  let wildcards = 0
  const texts = template.slice(share.length).split('/')
  for (const [index, text] of texts.entries()) {
    const place = index + (share === '' ? 0 : 2)
    const name = parameterOf(template, place, text)
    const isLast = index === texts.length - 1
    if (name === null && text !== '+' && text !== '#') {
      levels.push({ text, key: null, isNamed: false })
      filters.push(text)
      continue
    }
    const isRest = name === null ? text === '#' : text.endsWith('+}')
    if (isRest && !isLast)
      throw wrongLevel(template, place, text, 'stands for the rest, so it must be last')
    const key = name ?? String(wildcards++)
    if (keys.has(key))
      throw wrongLevel(template, place, text, 'is the name of an earlier level too')
    keys.add(key)
    if (isRest) rest = { key, isNamed: name !== null }
    else levels.push({ text: '', key, isNamed: name !== null })
    filters.push(isRest ? '#' : '+')
  }
  const filter = share + filters.join('/')
  checkFilter(template, filter)
  return { filter, levels, rest, keys }
}

/** @returns the name of the parameter that a level is, or null if it is none. */
function parameterOf(template: string, place: number, text: string): string | null {
  if (!/[{}]/.test(text)) return null
  const [, name] = /^\{([^{}]*?)\+?\}$/.exec(text) ?? []
  if (name === undefined) {
    throw wrongLevel(
      template,
      place,
      text,
      'mixes braces with text; a parameter {name} is a whole level',
    )
  }
  if (name === '') throw wrongLevel(template, place, text, 'has no name')
  if (PARAMETER_NAME.test(name)) return name
  const problem =
    'is no name: letters, digits, _ and - make one, beginning with a letter or _, and not __proto__'
  throw wrongLevel(template, place, text, problem)
}

function checkFilter(template: string, filter: string): void {
  const problem = validateFilter(filter)
  if (problem === null) return
  const place = filter.split('/').findIndex((text) => text !== '' && validateFilter(text) !== null)
  if (place < 0 || filter.startsWith('$share')) {
    throw new UsageError(`the topic template ${shownText(template)} cannot be used: ${problem}`)
  }
  throw wrongLevel(template, place, template.split('/')[place]!, `cannot be used: ${problem}`)
}

/** @param place the number of the level, from 0 */
function wrongLevel(template: string, place: number, text: string, problem: string): UsageError {
  const level = `level ${place + 1} (${shownText(text)})`
  return new UsageError(`${level} of the topic template ${shownText(template)} ${problem}`)
}
