/**
 * Which host does a URL name?
 *
 * The URL standard knows names beyond ASCII for http: and ws: only, and zones of IPv6 addresses not
 * at all. Both are read here for every scheme: `mqtt://münchen.example`, percent-encoded names,
 * `[fe80::1%25eth0]` (RFC 6874) and `[fe80::1%eth0]`, as people write it.
 */

export interface Address {
  /** The URL without the zone; its host is in ASCII. */
  readonly url: URL
  /** A name in ASCII, or an address without brackets and with its zone. */
  readonly host: string
}

/** `scheme://user@[address%zone]`, as far as the zone. */
const ZONE = /^([a-z][a-z\d+.-]*:\/\/(?:[^/?#]*@)?\[[\da-f:.]+)(?:%25|%)([^\]/?#@]+)\]/i

/** A host that needs no translation. Docker has names that the URL standard refuses (broker.1). */
const ASCII_NAME = /^[\w.-]*$/

/** A zone is the name or the number of an interface. */
const ZONE_NAME = /^[^\s%[\]/\\?#@:\0]+$/

let latest: { readonly text: string; readonly address: Address } | null = null

/**
 * The latest result is kept, because a connection asks several times and many connections go to the
 * same server. So nobody may change the URL.
 *
 * @throws TypeError if it is no URL.
 */
export function addressOf(given: string | URL): Address {
  const text = String(given)
  if (latest?.text !== text) latest = { text, address: parsed(text) }
  return latest.address
}

function parsed(text: string): Address {
  const [, before, written] = ZONE.exec(text) ?? []
  const url = new URL(before === undefined ? text : text.replace(ZONE, `${before}]`))
  if (url.protocol === 'unix:') return { url, host: url.hostname }
  if (url.hostname.startsWith('[')) {
    const host = url.hostname.slice(1, -1)
    return { url, host: written === undefined ? host : `${host}%${zoneOf(written)}` }
  }
  const host = asciiOf(url.hostname)
  if (host !== url.hostname) url.hostname = host
  return { url, host }
}

function zoneOf(written: string): string {
  const zone = decodeURIComponent(written)
  if (!ZONE_NAME.test(zone)) throw new TypeError('the zone names no interface')
  return zone
}

/** The URL standard decodes and translates the host of an http: URL. */
function asciiOf(hostname: string): string {
  return ASCII_NAME.test(hostname) ? hostname : new URL(`http://${hostname}`).hostname
}

/** @returns the scheme of a URL, with its colon. */
export function schemeOf(url: string | URL): string {
  if (url instanceof URL) return url.protocol
  return (/^\s*([a-z][a-z\d+.-]*:)/i.exec(url)?.[1] ?? '').toLowerCase()
}

/** @returns the version of IP of an address, or 0 if it is a name. */
export function ipVersionOf(host: string): 0 | 4 | 6 {
  if (/^(?:\d{1,3}\.){3}\d{1,3}$/.test(host)) {
    return host.split('.').every((part) => Number(part) <= 255) ? 4 : 0
  }
  return host.includes(':') && isUrl(`http://[${host.replace(/%.*$/, '')}]`) ? 6 : 0
}

/** As `URL.canParse`, which not every runtime has. */
function isUrl(text: string): boolean {
  try {
    return new URL(text).href !== ''
  } catch {
    return false
  }
}
