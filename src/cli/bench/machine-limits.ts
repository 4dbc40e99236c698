/**
 * What of this machine can end a bench before the server does? Open files and ephemeral ports. They
 * are compared with what is wanted before the first connection, and named when an attempt fails.
 */
import { readFileSync } from 'node:fs'
import { UsageError } from '../../index.ts'

/** Files that the process has open beside its connections. */
const OTHER_FILES = 40

const FILES_REMEDY = 'raise the limit (ulimit -n) or lower -c'
const PORTS_REMEDY =
  'widen net.ipv4.ip_local_port_range, give several addresses of this machine with -A, or lower -c'

/** What to do about an error of the machine, by the code of Node. */
const REMEDIES: Readonly<Record<string, string>> = {
  EMFILE: `this process may open no more files: ${FILES_REMEDY}`,
  ENFILE: 'this machine may open no more files: raise fs.file-max',
  EADDRNOTAVAIL: `this address has no free port left: ${PORTS_REMEDY}`,
  EAGAIN: 'the system has no room for another connection: lower -R',
  ENOBUFS: 'the system has no room for another connection: lower -R or -c',
}

/** @returns what to do about an error of the machine, or null if the machine is not at fault. */
export function remedyFor(code: string): string | null {
  return REMEDIES[code] ?? null
}

/** What the system says about its limits: files of /proc, empty where there is none. */
interface LimitTexts {
  /** /proc/self/limits */
  readonly limits: string
  /** /proc/sys/net/ipv4/ip_local_port_range */
  readonly portRange: string
}

/** @returns how many files a process may open, from the text of /proc/self/limits. */
function openFilesIn(limits: string): number {
  const [, soft] = /^Max open files\s+(\S+)/m.exec(limits) ?? []
  const count = Number(soft)
  return Number.isNaN(count) ? Number.POSITIVE_INFINITY : count
}

/** @returns how many ports a range such as `32768 60999` has. */
function portsIn(range: string): number {
  const [from, to] = range.trim().split(/\s+/).map(Number)
  return from === undefined || to === undefined || Number.isNaN(to - from)
    ? Number.POSITIVE_INFINITY
    : to - from + 1
}

/**
 * @param addresses how many addresses of this machine the connections come from.
 * @returns a warning if the ports may not suffice, or null.
 * @throws UsageError if this process may not open so many connections.
 */
export function checkMachine(
  connections: number,
  addresses: number,
  { limits, portRange }: LimitTexts = limitTexts(),
): string | null {
  const files = openFilesIn(limits)
  if (connections + OTHER_FILES > files) {
    throw new UsageError(
      `${connections.toLocaleString('en')} connections need more files than this process may ` +
        `open (${files.toLocaleString('en')}): ${FILES_REMEDY}`,
    )
  }
  const ports = portsIn(portRange) * addresses
  if (connections <= ports) return null
  return (
    `${connections.toLocaleString('en')} connections to one address and port of a server need ` +
    `more ports than this machine has (${ports.toLocaleString('en')}): ${PORTS_REMEDY}`
  )
}

function limitTexts(): LimitTexts {
  return {
    limits: textOf('/proc/self/limits'),
    portRange: textOf('/proc/sys/net/ipv4/ip_local_port_range'),
  }
}

/** @returns the text of a file, empty where the system has none. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
