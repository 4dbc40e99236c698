/** The normative statements, and which tests speak of them. */
import { jsonLines } from '../codec/support.ts'

export interface Statement {
  readonly id: string
  readonly version: '5.0' | '3.1.1'
  readonly client_testable: boolean
  readonly summary: string
}

export const rows = jsonLines<Statement>('conformance/normative.jsonl')

/** Numbers of statements in the title of a test. */
export function idsOf(title: string): Set<string> {
  return new Set([...title.matchAll(/\[(MQTT-\d+\.\d+\.\d+-\d+)\]/g)].map(([, id]) => id!))
}

/** The numbers of 3.1.1 stand in files of their own; everywhere else they are those of 5.0. */
export function versionOf(file: string): '5.0' | '3.1.1' {
  return file.endsWith('-311.test.ts') ? '3.1.1' : '5.0'
}

/** Statements that have no test yet, and the reason. */
export const LATER: ReadonlyMap<string, string> = new Map()
