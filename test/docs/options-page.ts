/** The text of docs/OPTIONS.md: every option of every function of the package, from its docstring. */
import type ts from 'typescript'
import { COLUMNS, wrapped } from './markdown.ts'
import { type Documented, described, document, find, membersOf } from './reference.ts'

/** The sections of the page: the function, and the types in which its options are declared. */
const SECTIONS: readonly (readonly [title: string, types: readonly string[]])[] = [
  [
    '`eventloop(options, requests, controls)` and `connect(options)`',
    [
      ...[
        'EventloopOptions',
        'ReconnectOptions',
        'ConnectOptions',
        'AttemptOptions',
        'WillOptions',
      ],
      ...['DivertOptions', 'RecorderOptions', 'Authenticator', 'ExchangeContext'],
      ...['OpenTransport', 'Endpoint', 'Platform'],
    ],
  ],
  ['`run(options, requests, runOptions)`', ['RunOptions']],
  ['`fileRequests(path, options)` of `it-mqtt/disk`', ['fileRequests', 'FileRequestsOptions']],
  ['`spool(directory, options)` of `it-mqtt/disk`', ['spool', 'SpoolOptions']],
  ['`openSession(directory)` of `it-mqtt/disk`', ['openSession', 'SessionStore']],
]

export function optionsPage(files: readonly ts.SourceFile[]): string {
  const sections = SECTIONS.flatMap(([title, names]) => [
    `## ${title}`,
    ...names.map((name) => declarationText(find(files, name))),
  ])
  const intro =
    'Every option with its unit, bounds and default. This page is made from the docstrings in `src` by' +
    ' `npm run docs`; `test/docs/pages.test.ts` compares the two. A value that cannot be used is a' +
    ' `UsageError` that names the option, what was given and what is allowed.'
  return `${['# Options', wrapped(intro), ...sections].join('\n\n')}\n`
}

function declarationText(node: ReturnType<typeof find>): string {
  const whole = document(node)
  const members = membersOf(node)
  const links = members.map(({ name }) => `[${name}](#${anchor(whole.name, name)})`)
  return [
    `### ${whole.name}`,
    ...(members.length === 0 ? [code(whole.type)] : []),
    described(whole),
    ...(members.length > 4 ? [wrapped(links.join(', '))] : []),
    ...members.map((member) => memberText(whole.name, member)),
  ].join('\n\n')
}

function memberText(owner: string, member: Documented): string {
  const label = owner === 'EventloopOptions' ? member.name : `${owner}.${member.name}`
  return [`#### ${label}`, code(member.type), described(member)].join('\n\n')
}

/** @returns the anchor that GitHub gives to the heading of a member */
function anchor(owner: string, name: string): string {
  return (owner === 'EventloopOptions' ? name : `${owner}${name}`).toLowerCase()
}

/** @returns the type as code, in a block if it is too long for a line */
const code = (type: string) =>
  type.length > COLUMNS - 2 ? `\`\`\`ts\n${type}\n\`\`\`` : `\`${type}\``
