/** How does a person read the report of the doctor? Three lists: rely on it, do not, not known. */
import type { DoctorReport, Finding } from '../doctor/index.ts'
import { wrapped } from './top/safe-text.ts'
import { counted } from './words.ts'

const INDENT = '  '
const COLUMNS_MIN = 40
const LINES_MAX = 20

/** @returns the report as text, with a line break at the end. */
export function doctorText(report: DoctorReport, evidence: boolean, columns: number): string {
  const { server, protocolVersion, findings, durationMs, requests } = report
  const width = Math.max(columns, COLUMNS_MIN)
  const version = protocolVersion === 5 ? 'MQTT 5' : protocolVersion === 4 ? 'MQTT 3.1.1' : null
  const sent = `${counted(requests, 'request')} in ${Math.round(durationMs / 1000)} s`
  const head = version === null ? `${server}: no connection` : `${server}, ${version}, ${sent}`
  const lists: readonly (readonly [title: string, is: boolean | null])[] = [
    ['You may rely on:', true],
    ['Do not rely on:', false],
    ['Not known:', null],
  ]
  const parts = lists.flatMap(([title, is]) => {
    const found = findings.filter(({ reliable }) => reliable === is)
    if (found.length === 0) return []
    return ['', title, ...found.flatMap((one) => findingLines(one, evidence, width))]
  })
  return `${[...wrapped(head, width, LINES_MAX), ...parts].join('\n')}\n`
}

function findingLines(finding: Finding, evidence: boolean, width: number): readonly string[] {
  const { id, question, answer, certainty, why, meaning } = finding
  const said = certainty === 'said' ? ' (it says so)' : ''
  const answers = why === null ? `${answer}${said}. ${meaning}` : why
  return [
    ...indented(`${id}: ${question}`, 1, width),
    ...indented(answers, 2, width),
    ...(evidence ? finding.evidence.flatMap((line) => indented(line, 3, width)) : []),
  ]
}

function indented(text: string, depth: number, width: number): readonly string[] {
  const indent = INDENT.repeat(depth)
  return wrapped(text, width - indent.length, LINES_MAX).map((line) => `${indent}${line}`)
}
