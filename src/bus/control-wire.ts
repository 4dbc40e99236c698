/**
 * What do the processes of a bus say when they are asked who is there? The topics, the answers, and
 * what is taken of the answers of others: nothing that is not as docs/WIRE.md says. Pure.
 */
import type { ResponderStats } from '../client/index.ts'
import { text } from '../index.ts'
import type { BusInsides } from './bus-insides.ts'
import { busLevelOf, isApiName, isBusName, isProcessName, majorOf } from './bus-names.ts'
import type {
  DiscoveredApi,
  DiscoveredListener,
  DiscoveredProcess,
  DiscoveredTask,
} from './discover-types.ts'
import type { ListenerStats } from './listener-types.ts'
import type { TaskStats } from './task-types.ts'

/** `PING`: who is there. `INFO`: also what it does. `STATS`: also with numbers. */
type ControlVerb = 'PING' | 'INFO' | 'STATS'

/** The number of this form of the answers. */
const CONTROL_FORM = 1
/** An answer of another process that has more bytes is not read. */
const ANSWER_BYTES_MAX = 262_144

const OF_RESPONDERS: readonly (keyof ResponderStats)[] = [
  ...(['received', 'running', 'pending', 'answered', 'failed', 'busy', 'repeated'] as const),
  ...(['expired', 'unanswerable', 'abandoned'] as const),
]
const OF_LISTENERS: readonly (keyof ListenerStats)[] = [
  ...(['received', 'handled', 'running', 'retried', 'repeated', 'skipped', 'dead'] as const),
  'passed',
]
const OF_TASKS: readonly (keyof TaskStats)[] = [
  ...(['running', 'handled', 'skipped', 'missed', 'passed'] as const),
]

/** @returns the topic of a question to all, to a service, or to one of its processes. */
export function controlTopic(
  prefix: string,
  verb: ControlVerb | '+',
  service?: string,
  process?: string,
): string {
  const levels = [`${prefix}/_control/${verb}`, service, process && busLevelOf(process)]
  return levels.filter((level) => level !== undefined).join('/')
}

/** @returns the answer of this process, or null if it does not know the verb. */
export function controlAnswer(bus: BusInsides, verb: string, uptimeMs: number): object | null {
  const { service, process, served } = bus.parts
  const who = { itm: CONTROL_FORM, service, process }
  if (verb === 'PING') return who
  if (verb !== 'INFO' && verb !== 'STATS') return null
  const isCounted = verb === 'STATS'
  // A process that leaves out calls or events, such as a worker for tasks, does not claim them.
  const answered = bus.answersCalls() ? [...served.values()] : []
  const apis = answered.map(({ api, served: { stats } }) => ({
    ...{ name: api.name, version: api.version },
    ...{ rpcs: Object.keys(api.rpcs), events: Object.keys(api.events) },
    ...(isCounted ? { stats } : {}),
  }))
  const listeners = bus.listening().map(({ name, sources, waiting, stats }) => ({
    ...{ name, events: sources.map(({ api, event }) => `${api.name}/${event}`) },
    ...(isCounted ? { waiting, stats } : {}),
  }))
  const tasks = bus.tasks().map(({ name, nextAt, stats }) => ({
    name,
    ...(isCounted ? { nextAt: nextAt === null ? null : Math.round(nextAt), stats } : {}),
  }))
  return { ...who, uptimeMs: Math.round(uptimeMs), apis, listeners, tasks }
}

/** Says what is wrong with an answer. */
class WrongAnswer extends Error {}

/** @returns what a process answers to `STATS`, or a text that says why it is passed over. */
export function readControlAnswer(payload: Uint8Array): DiscoveredProcess | string {
  if (payload.length > ANSWER_BYTES_MAX) {
    return `it has ${payload.length} bytes, and at most ${ANSWER_BYTES_MAX} are read`
  }
  let given: unknown
  try {
    given = JSON.parse(text(payload))
  } catch {
    return 'it is not JSON'
  }
  try {
    return processIn(given)
  } catch (error) {
    if (error instanceof WrongAnswer) return error.message
    throw error
  }
}

function processIn(given: unknown): DiscoveredProcess {
  const fields = objectIn('it', given)
  need('itm', fields['itm'] === CONTROL_FORM)
  const { service, process } = fields
  need('service', isBusName(service))
  need('process', isProcessName(process))
  return {
    ...{ service: service as string, process: process as string },
    uptimeMs: countIn('uptimeMs', fields['uptimeMs']),
    apis: listIn('apis', fields['apis']).map(apiIn),
    listeners: listIn('listeners', fields['listeners']).map(listenerIn),
    // Processes of earlier versions do not name them.
    tasks: listIn('tasks', fields['tasks'] ?? []).map(taskIn),
  }
}

function apiIn(given: unknown): DiscoveredApi {
  const { name, version, rpcs, events, stats } = objectIn('apis', given)
  need('apis: name', isApiName(name))
  need('apis: version', majorOf(version) !== null)
  return {
    ...{ name: name as string, version: version as string },
    rpcs: busNamesIn('apis: rpcs', rpcs),
    events: busNamesIn('apis: events', events),
    stats: countsIn('apis: stats', stats, OF_RESPONDERS),
  }
}

function listenerIn(given: unknown): DiscoveredListener {
  const { name, events, waiting, stats } = objectIn('listeners', given)
  need('listeners: name', isBusName(name))
  const isEvent = (one: unknown) => {
    const at = typeof one === 'string' ? one.lastIndexOf('/') : -1
    const words = at < 0 ? ['', ''] : [(one as string).slice(0, at), (one as string).slice(at + 1)]
    return isApiName(words[0]) && isBusName(words[1])
  }
  const heard = listIn('listeners: events', events)
  need('listeners: events', heard.every(isEvent))
  return {
    ...{ name: name as string, events: heard as readonly string[] },
    waiting: countIn('listeners: waiting', waiting),
    stats: countsIn('listeners: stats', stats, OF_LISTENERS),
  }
}

function taskIn(given: unknown): DiscoveredTask {
  const { name, nextAt, stats } = objectIn('tasks', given)
  need('tasks: name', isBusName(name))
  return {
    name: name as string,
    nextAt: nextAt === null ? null : countIn('tasks: nextAt', nextAt),
    stats: countsIn('tasks: stats', stats, OF_TASKS),
  }
}

function need(what: string, isSo: boolean): void {
  if (!isSo) throw new WrongAnswer(`${what} is not as it must be`)
}

function objectIn(what: string, given: unknown): Readonly<Record<string, unknown>> {
  need(what, typeof given === 'object' && given !== null && !Array.isArray(given))
  return given as Readonly<Record<string, unknown>>
}

function listIn(what: string, given: unknown): readonly unknown[] {
  need(what, Array.isArray(given))
  return given as readonly unknown[]
}

function busNamesIn(what: string, given: unknown): readonly string[] {
  const names = listIn(what, given)
  need(what, names.every(isBusName))
  return names as readonly string[]
}

function countIn(what: string, given: unknown): number {
  need(what, Number.isSafeInteger(given) && (given as number) >= 0)
  return given as number
}

/** Numbers that another version has beside these are passed over; those that it lacks are 0. */
function countsIn<Name extends string>(
  what: string,
  given: unknown,
  names: readonly Name[],
): Readonly<Record<Name, number>> {
  const fields = objectIn(what, given)
  const counts = names.map((name) => {
    const count = Object.hasOwn(fields, name) ? fields[name] : 0
    return [name, countIn(`${what}.${name}`, count)] as const
  })
  return Object.fromEntries(counts) as Record<Name, number>
}
