/**
 * How does the program get its command `pipe`? What the command needs is loaded when it is called.
 */
import type { Command } from 'commander'
import { addPipeCommand, type PipeFlags } from './pipe-flags.ts'

export function addPipe(program: Command): void {
  addPipeCommand(program).action(async (file: string, flags: PipeFlags) => {
    const { pipe } = await import('./pipe.ts')
    process.exitCode = await pipe(file, flags)
  })
}
