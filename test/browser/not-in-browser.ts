/** Which tests of those that run in a browser need something that only Node has? */
import { beforeEach } from 'vitest'

/** Titles, or parts of them, with the reason why they are skipped. */
const NOT_IN_A_BROWSER: readonly (readonly [RegExp, string])[] = [
  [
    /\[I2\] (?:a promise of 254 MiB|an announced size)|\[V2\] a claim of 4 GiB/,
    'a page cannot measure its memory',
  ],
  [
    /a payload holds at most 8 KiB|byte by byte is copied twice|taken is never written again/,
    'they watch the memory of Buffers of Node',
  ],
  [/Node exits by itself|the process is not warned/, 'they are about Node'],
  [/a promise of settled that rejects/, 'each answer comes in a turn of its own here'],
  [
    /\[T6\] each attempt may have another will/,
    'the streams that stand for those of Node report an error of a dial before anybody listens',
  ],
]

beforeEach(({ task, skip }) => {
  if (task.suite?.name === 'diagnostics channels') skip('a browser has no diagnostics channels')
  const reason = NOT_IN_A_BROWSER.find(([pattern]) => pattern.test(task.name))?.[1]
  if (reason !== undefined) skip(reason)
})
