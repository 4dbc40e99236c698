/**
 * Which rules hold for src/? This is the whole list: a rule's name, and the function that finds
 * what breaks it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { unmirrored } from './folders.ts'
import { exportsForTests, repeatedFileNames, repeatedNames, unreadExports } from './names.ts'
import {
  cycles,
  INNER_ROOMS,
  importsOracle,
  transportKnows,
  wrongArrows,
  wrongRooms,
} from './rooms.ts'
import { longFiles, longFunctions, wideLines } from './sizes.ts'
import { readSources, root, type Source } from './sources.ts'
import type { Violation } from './violation.ts'
import { escapes, impureWords, nodeWords, topLevelAwaits } from './words.ts'

/** Everything that the rules look at. */
export interface Repository {
  readonly sources: readonly Source[]
  /** The files outside of src/ that import from it. */
  readonly others: readonly Source[]
  readonly entriesOfSrc: readonly string[]
  readonly foldersOfSrc: readonly string[]
  readonly foldersOfTest: readonly string[]
  readonly architecture: string
}

export function readRepository(): Repository {
  const foldersOf = (folder: string): readonly string[] =>
    readdirSync(`${root}/${folder}`, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  return {
    sources: readSources('src'),
    others: ['test', 'bench', 'docs'].flatMap(readSources),
    entriesOfSrc: [...readdirSync(`${root}/src`), ...INNER_ROOMS],
    foldersOfSrc: foldersOf('src'),
    foldersOfTest: foldersOf('test'),
    architecture: readFileSync(`${root}/docs/ARCHITECTURE.md`, 'utf8'),
  }
}

type Rule = (repository: Repository) => readonly Violation[]

export const RULES = {
  'src/ has few rooms, and docs/ARCHITECTURE.md asks a question for each': (r) =>
    wrongRooms(r.entriesOfSrc, r.architecture),
  'a room imports only rooms below it, types included': (r) => wrongArrows(r.sources),
  'no file imports itself through others, types included': (r) => cycles(r.sources),
  'a transport does not know MQTT': (r) => transportKnows(r.sources),
  'src does not import mqtt-packet': (r) => importsOracle(r.sources),
  'a file has at most 400 lines': (r) => longFiles(r.sources),
  'a function has at most 70 lines': (r) => longFunctions(r.sources),
  'a line has at most 100 columns': (r) => wideLines(r.sources),
  "Node's modules and globals stand in its flavour, disk and cli": (r) => nodeWords(r.sources),
  'a reducer has no clock, chance or promise': (r) => impureWords(r.sources),
  'no module awaits while it loads': (r) => topLevelAwaits(r.sources),
  'no default exports, no marks, no escapes from the types': (r) => escapes(r.sources),
  'each export has a reader': (r) => unreadExports(r.sources, r.others),
  'exports that only tests read are listed': (r) => exportsForTests(r.sources, r.others),
  'no file name stands twice': (r) => repeatedFileNames(r.sources),
  'no name is declared at the top level of two files': (r) => repeatedNames(r.sources),
  'test/ mirrors src/': (r) =>
    unmirrored(
      r.foldersOfSrc,
      r.foldersOfTest,
      r.others.map(({ path }) => path),
    ),
} as const satisfies Record<string, Rule>

export type RuleName = keyof typeof RULES
