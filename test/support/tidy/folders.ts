/**
 * Does test/ mirror src/? Whoever changes a room looks for its tests under the same name.
 */
import type { Violation } from './violation.ts'

/** The folders of test/ that hold something else than the tests of one room. */
const OTHER_FOLDERS: readonly string[] = [
  'brokers',
  'browser',
  'bundlers',
  'conformance',
  'data',
  'docs',
  'drill',
  'examples',
  'fuzz',
  'kill',
  'package',
  'processes',
  'promises',
  'runtimes',
  'security',
  'types',
  'simulation',
  'soak',
  'support',
]

/**
 * Rule: each folder of src/ has a folder of tests, and each folder of tests has a reason.
 *
 * @param rooms the folders at the top of src/
 * @param folders the folders at the top of test/
 * @param tests the paths of all test files
 */
export function unmirrored(
  rooms: readonly string[],
  folders: readonly string[],
  tests: readonly string[],
): readonly Violation[] {
  const untested = rooms.filter(
    (room) => !tests.some((path) => path.startsWith(`test/${room}/`) && path.endsWith('.test.ts')),
  )
  const strangers = folders.filter(
    (folder) => !rooms.includes(folder) && !OTHER_FOLDERS.includes(folder),
  )
  return [
    ...untested.map((room) => ({
      key: `src/${room}`,
      path: `src/${room}`,
      line: 1,
      problem: `no test stands in test/${room}`,
      remedy: 'Put the tests of the room there',
    })),
    ...strangers.map((folder) => ({
      key: `test/${folder}`,
      path: `test/${folder}`,
      line: 1,
      problem: `src/${folder} does not exist`,
      remedy: 'Move the tests to the folder of their room, or list the kind in OTHER_FOLDERS',
    })),
  ]
}
