/**
 * Which process has something on disk open, and does that process still run? A process id alone is
 * not enough: it is used again after a reboot and in every container.
 */
import { readFile, readlink } from 'node:fs/promises'
import { hostname, uptime } from 'node:os'

/** A process, as it is written to disk. */
export interface Owner {
  readonly pid: number
  /** Identifies the boot of the machine. */
  readonly bootId: string
  /** The instant at which the process opened what it owns, in ISO 8601. */
  readonly since: string
  /** When the process was started, in ticks since the boot; null if the system does not say. */
  readonly startedAt?: string | null
  /** The namespace in which the process id counts; null if the system does not say. */
  readonly pidNamespace?: string | null
}

/** @returns this process as an owner from now on. */
export async function ownerNow(): Promise<Owner> {
  return {
    pid: process.pid,
    bootId: await bootId(),
    since: new Date().toISOString(),
    startedAt: (await processStatus(process.pid))?.startedAt ?? null,
    pidNamespace: await pidNamespace(),
  }
}

/** @returns the owner in words. */
export function ownerWords({ pid, bootId, since }: Owner): string {
  return `by process ${pid} (boot id ${bootId}) since ${since}`
}

/**
 * @returns whether the process still runs; `unknown` if it has its id in another namespace
 *   (another container), where this process cannot see it.
 */
export async function ownerState(owner: Owner): Promise<'running' | 'gone' | 'unknown'> {
  if (owner.bootId !== (await bootId())) return 'gone'
  if ((owner.pidNamespace ?? null) !== (await pidNamespace())) return 'unknown'
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    // EPERM: it runs, and belongs to another user.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'gone'
  }
  const found = await processStatus(owner.pid)
  if (found === null) return 'running'
  const isOther = owner.startedAt != null && found.startedAt !== owner.startedAt
  return isOther || found.isZombie ? 'gone' : 'running'
}

/** @returns an id of the current boot of the machine. */
async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  } catch {
    // To the minute, because the two clocks are not read in the same instant.
    const bootedAt = Math.round((Date.now() / 1000 - uptime()) / 60) * 60_000
    return `${hostname()} since ${new Date(bootedAt).toISOString()}`
  }
}

/** @returns null if the system does not say. */
async function processStatus(
  pid: number,
): Promise<{ readonly startedAt: string | null; readonly isZombie: boolean } | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The second field is the name in parentheses, which may contain blanks. The third is the
    // state, and the 22nd the start.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { startedAt: fields[19] ?? null, isZombie: fields[0] === 'Z' }
  } catch {
    return null
  }
}

async function pidNamespace(): Promise<string | null> {
  return readlink('/proc/self/ns/pid').catch(() => null)
}
