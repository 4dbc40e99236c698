/** Which servers may a document name? Those of URLs, without anything that is secret. */
import { UsageError } from '../../index.ts'
import { inQuotes } from '../bus-names.ts'
import { checkFieldNames } from '../define-api.ts'

const SERVER_NAME = /^[\w.-]{1,100}$/

/** The protocols of AsyncAPI, by those of URLs. */
const PROTOCOLS: Readonly<Record<string, string>> = {
  ...{ 'mqtt:': 'mqtt', 'tcp:': 'mqtt', 'mqtts:': 'secure-mqtt', 'ssl:': 'secure-mqtt' },
  ...{ 'ws:': 'ws', 'wss:': 'wss' },
}

/** @throws UsageError for a name or a URL that cannot be used. */
export function documentedServers(
  given: Readonly<Record<string, string | URL>>,
): Record<string, object> {
  checkFieldNames('toAsyncApi: servers', given, Object.keys(given ?? {}))
  const entries = Object.entries(given).map(([name, address]) => {
    if (!SERVER_NAME.test(name)) {
      throw new UsageError(`toAsyncApi: the name ${inQuotes(name)} of a server cannot be used`)
    }
    const url = urlOfServer(name, address)
    const protocol = PROTOCOLS[url.protocol]
    if (protocol === undefined || url.hostname === '') {
      const allowed = Object.keys(PROTOCOLS).join(', ')
      throw new UsageError(`toAsyncApi: the server ${name} needs a host, and one of ${allowed}`)
    }
    const { host, pathname } = url
    const path = pathname === '' || pathname === '/' ? {} : { pathname }
    return [name, { host, ...path, protocol, protocolVersion: '5.0' }] as const
  })
  return Object.fromEntries(entries)
}

function urlOfServer(name: string, address: unknown): URL {
  try {
    return new URL(String(address))
  } catch {
    // The text may hold a password.
    throw new UsageError(`toAsyncApi: the address of the server ${name} is no URL`)
  }
}
