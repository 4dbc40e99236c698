/** Which tests of those that run with the web flavours say something that is true on Node only? */
import { beforeEach } from 'vitest'

/** Titles, or parts of them, with the reason why they are skipped. */
const NODE_ONLY: readonly (readonly [RegExp, string])[] = [
  [/a payload is a Buffer in full/, 'a payload is a Uint8Array on the web'],
  [
    /lost at each step, with a session/,
    'an answer is written in a task of its own, so it is lost with the packet before it, and the' +
      ' refusal, which the broker gives once, never comes',
  ],
  [/diagnostics channels \[T8\](?!.*where nobody)/, 'the web has no diagnostics channels'],
  [/reported on the channel/, 'the web has no diagnostics channels'],
  [/\[T8\].*without onWarning/, 'the web has a console, and no warnings of the process'],
  [
    /(?:CERT_|_CERT|_SIGNATURE|ENOTFOUND|ERR_ACCESS_DENIED|certificate)/,
    "the web knows no codes of Node's sockets",
  ],
  [/each failure is told as phase, source, code/, "some of the codes are those of Node's sockets"],
]

beforeEach(({ task, skip }) => {
  let title = task.name
  for (let suite = task.suite; suite !== undefined; suite = suite.suite) {
    title = `${suite.name} ${title}`
  }
  const reason = NODE_ONLY.find(([pattern]) => pattern.test(title))?.[1]
  if (reason !== undefined) skip(reason)
})
