import { readFileSync } from 'node:fs'

/** @returns the most resident memory that this process has had, in MB. */
export function residentMBMax(): number {
  // Linux counts it from the start of the program. `resourceUsage().maxRSS` will not do: a process
  // inherits it from the one that started it.
  try {
    const [, kibibytes] =
      /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    if (kibibytes !== undefined) return Math.round((Number(kibibytes) * 1024) / 1e6)
  } catch {
    // Other systems have no such file: what is resident now stands for the most.
  }
  return Math.round(process.memoryUsage.rss() / 1e6)
}
