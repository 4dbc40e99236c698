/**
 * The command line. program.ts has the commands, and exit-codes.ts says what the exit status means.
 */
import './signals.ts'
import { prepareArguments } from './arguments.ts'
import { reportFailure } from './fail.ts'
import { guardOutput, isClosedPipe, isOutputPending, printed } from './output.ts'
import { programFor } from './program.ts'
import { showStatus } from './screen.ts'

const given = process.argv.slice(2)
// The words may contain a password, which a list of processes must not show.
process.title = 'it-mqtt'
const program = await programFor(given)
guardOutput()
try {
  await program.parseAsync(prepareArguments(given, program), { from: 'user' })
} catch (error) {
  process.exitCode = isClosedPipe(error) ? 0 : reportFailure(error)
}
// Help and version are not awaited where they are written.
await printed().catch((error) => {
  if (!isClosedPipe(error)) process.exitCode = reportFailure(error)
})
showStatus(null)
// The process ends without waiting for standard input, or for a reader that has stalled.
process.stdin.destroy()
if (isOutputPending()) process.exit()
