/**
 * `it-mqtt replay`: what did a loop decide, step by step? The steps are computed again from a
 * recording.
 */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { type ReplayedStep, replay, UsageError } from '../index.ts'
import { FAILED, say } from './fail.ts'
import { write } from './output.ts'

export function addReplay(program: Command): void {
  program
    .command('replay')
    .description(
      'compute the steps of a recording again; exit status 1 if they differ from the recording',
    )
    .argument('<file>', 'a recording; a program that uses the library makes it')
    .option('--json', 'write one JSON object in each line, one for each step')
    .action(async (file: string, { json = false }: { json?: boolean }) => {
      process.exitCode = await show(file, json)
    })
}

async function show(file: string, json: boolean): Promise<number> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new UsageError(`replay: ${error.message}`, { cause: error })
  })
  let steps = 0
  let status = 0
  for (const step of replay(text)) {
    steps++
    const changes = changesOf(step.before, step.after)
    const inputs = step.inputs.map(inputName)
    const effects = step.effects.map(({ type }) => type)
    const at = step.inputs[0]?.at
    const line = json
      ? JSON.stringify({ line: step.line, at, inputs, changes, effects })
      : stepText(step, inputs, changes, effects)
    await write(`${line}\n`)
    if (step.differs === null) continue
    status = FAILED
    say(`line ${step.line}: the ${step.differs === 'end' ? 'state at the end' : 'effects'} differ`)
  }
  if (status === 0) say(`${steps} steps, all as recorded`)
  return status
}

function inputName(input: ReplayedStep['inputs'][number]): string {
  if (input.type === 'received') return `received ${input.packets.map(({ cmd }) => cmd).join(' ')}`
  if (input.type === 'requests')
    return `requests ${input.requests.map(({ kind }) => kind).join(' ')}`
  return input.type
}

function stepText(
  { line, inputs: [first] }: ReplayedStep,
  inputs: readonly string[],
  changes: readonly string[],
  effects: readonly string[],
): string {
  const head = `${line} at ${first?.at ?? 0} ms: ${inputs.join(', ')}`
  const lines = [head, ...changes.map((change) => `    ${change}`)]
  return effects.length === 0 ? lines.join('\n') : [...lines, `  → ${effects.join(' ')}`].join('\n')
}

/** @returns a line for each value that a step changed: `connection.kind: idle → connecting`. */
function changesOf(before: ReplayedStep['before'], after: ReplayedStep['after']): string[] {
  const changes: string[] = []
  for (const [group, now] of Object.entries(after)) {
    const was = before[group as keyof typeof before] as object
    if (was === now) continue
    for (const [name, value] of Object.entries(now as object)) {
      const [from, to] = [brief((was as Record<string, unknown>)[name]), brief(value)]
      if (from !== to) changes.push(`${group}.${name}: ${from} → ${to}`)
    }
  }
  return changes
}

/** A value is printed with at most this many characters. */
const BRIEF_LENGTH = 60

/** @returns a value in few characters; of a table or a list, only its size. */
function brief(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  if ('size' in value && 'branches' in value) return `${String(value.size)} entries`
  if (Array.isArray(value)) return `${value.length} items`
  const text = JSON.stringify(value)
  return text.length > BRIEF_LENGTH ? `${text.slice(0, BRIEF_LENGTH)}…` : text
}
