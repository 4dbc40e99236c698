/**
 * The words that the tables of the benchmark are made of. A table has rows; a row has a server, and
 * the programs that are run against it in turn.
 */
import { join } from 'node:path'
import { folder, type Server } from './measure.ts'

export interface Metric {
  /** The name that the programs print it under. */
  readonly name: string
  /** What the tables call it, with its unit. */
  readonly label: string
  readonly better: 'more' | 'less'
}

export interface RowProgram {
  readonly name: string
  /** The path of the program, or what makes it before the row is measured. */
  readonly script: string | (() => Promise<string>)
  readonly args: Args
}

export interface Row {
  readonly name: string
  readonly server: () => Promise<Server>
  readonly programs: readonly RowProgram[]
  readonly metrics: readonly Metric[]
  /** The largest number of runs, for a row that takes long. */
  readonly runsMax?: number
  /** What this machine lacks, so that the row cannot be measured. */
  readonly lacks?: string | undefined
}

/** Another library, which does the work of a row as ours does. */
export interface Peer {
  /** The name of its programs. */
  readonly program: string
  /** What the tables call it. */
  readonly title: string
}

export interface Table {
  readonly title: string
  readonly rows: readonly Row[]
  /** Which libraries have a column; MQTT.js if there is nothing here. */
  readonly peers?: readonly Peer[]
  /** What the page says before the table, in paragraphs of Markdown. */
  readonly notes?: readonly string[]
}

export interface Context {
  /** The compiled programs, by name. */
  readonly scripts: ReadonlyMap<string, string>
  readonly scale: number
  /** @returns the path of start.mjs, or another, beside the packages as npm installed them. */
  readonly installed: (name: 'start' | 'start-service') => Promise<string>
}

export type QoS = 0 | 1 | 2
export type Args = (port: number) => readonly (string | number)[]
type Names = readonly [ours: string, floor: string, mqttJs: string]

export const MQTT_JS: Peer = { program: 'mqtt.js', title: 'MQTT.js' }

export const RATE: Metric = { name: 'rate', label: 'messages/s', better: 'more' }

/** @returns a metric of which less is better. */
export const less = (name: string, label: string): Metric => ({ name, label, better: 'less' })

/** @returns the path of a program that was given and stays as it is. */
export const peer = (name: string): string => join(folder, 'peers', `${name}.mjs`)

/** @returns it-mqtt, the floor and MQTT.js at the same work. */
export function programsOf({ scripts }: Context, names: Names, args: Args): readonly RowProgram[] {
  const [ours, floor, mqttJs] = names.map((name) => scripts.get(name)!) as [string, string, string]
  return [
    { name: 'it-mqtt', script: ours, args },
    { name: 'floor', script: floor, args },
    { name: 'mqtt.js', script: mqttJs, args },
  ]
}
