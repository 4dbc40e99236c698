/**
 * Which server do the flags name, and which topic does the URL of `-L` carry? A URL, or a host with
 * a port, or the path of a socket. What would have no effect is refused, and the message says what
 * to write instead. Messages never repeat a URL, because it may contain a password.
 */
import { resolveSrv } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import { type ConnectOptions, UsageError } from '../index.ts'

export interface ServerFlags {
  readonly url?: string
  /** The value of `-L`: a URL whose path is the topic. */
  readonly L?: string
  readonly host?: string
  readonly port?: number
  readonly unix?: string
  readonly srv?: boolean
}

interface Server {
  readonly url: string
  /** The topic of `-L`, or null without one. */
  readonly topic: string | null
}

const DEFAULT_URL = 'mqtt://localhost'
/** The port that means TLS, as in the mosquitto clients. */
const TLS_PORT = 8883
/** The schemes of which a path has no meaning but that of a topic. */
const WITHOUT_PATH = /^(mqtts?|tcp|tls):\/\//i

/**
 * @param wantsTls whether one of the flags for TLS was given, which `-h` alone does not say.
 * @throws UsageError if the flags name two servers, or a part of them would have no effect.
 */
export function serverOf(flags: ServerFlags, wantsTls: boolean): Server {
  const { url, L, host, port, unix } = flags
  const named = [
    ...(url === undefined ? [] : ['--url']),
    ...(L === undefined ? [] : ['-L']),
    ...(unix === undefined ? [] : ['--unix']),
    ...(host === undefined ? [] : ['-h']),
  ]
  if (named.length > 1) throw new UsageError(`${named.join(' and ')} name two servers; give one`)
  if (port !== undefined && named.length > 0 && host === undefined) {
    throw new UsageError(`-p has no effect beside ${named[0]}; write -h and -p, or one URL`)
  }
  if (flags.srv && host === undefined) throw new UsageError('-S needs the domain: write -h too')
  if (flags.srv && port !== undefined) {
    throw new UsageError('-p has no effect beside -S: the answer of the DNS has the ports')
  }
  if (L !== undefined) return urlWithTopic(L)
  if (unix !== undefined) return { url: `unix:${unix}`, topic: null }
  if (host !== undefined || port !== undefined) {
    return { url: urlOfHost(host ?? 'localhost', port, wantsTls), topic: null }
  }
  if (url === undefined) return { url: DEFAULT_URL, topic: null }
  refusePath(url)
  return { url, topic: null }
}

function urlOfHost(host: string, port: number | undefined, wantsTls: boolean): string {
  if (/[/@]|:\/\//.test(host)) {
    throw new UsageError('-h takes a host name or an address; a URL is given with --url')
  }
  const [, name, after] = /^([^:]+|\[.*\]):(\d+)$/.exec(host) ?? []
  if (name !== undefined) {
    throw new UsageError(`-h ${host}: give the port with -p: -h ${name} -p ${after}`)
  }
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host
  if (host === '' || /\s/.test(host) || (host.includes(':') && !isIPv6(bare))) {
    throw new UsageError(`-h: a host name or an address is expected, not ${JSON.stringify(host)}`)
  }
  const bracketed = host.includes(':') ? `[${bare}]` : host
  const scheme = wantsTls || port === TLS_PORT ? 'mqtts' : 'mqtt'
  return `${scheme}://${bracketed}${port === undefined ? '' : `:${port}`}`
}

/**
 * @returns a URL with another port: `-p` beside a URL that comes from a profile or the environment.
 * @throws UsageError if it has none, as that of a socket.
 */
export function withPort(url: string, port: number): string {
  const [, head, rest] =
    /^(\w+:\/\/(?:[^/]*@)?(?:\[[^\]]*\]|[^/:?#]+))(?::\d*)?(?=[/?#]|$)(.*)$/s.exec(url) ?? []
  if (head === undefined || /^unix:/i.test(url)) {
    throw new UsageError('-p: the URL of the profile or of IT_MQTT_URL has no port; write -h too')
  }
  return `${head}:${port}${rest}`
}

function urlWithTopic(text: string): Server {
  const [, scheme, authority, topic] = /^(\w+:\/\/)([^/]*)(?:\/(.*))?$/s.exec(text) ?? []
  if (scheme === undefined) throw new UsageError('-L takes a URL such as mqtt://host/topic')
  if (!WITHOUT_PATH.test(scheme)) {
    throw new UsageError(
      `-L takes mqtt:// or mqtts://; with ${scheme} write --url for the server and -t for the ` +
        'topic',
    )
  }
  if (topic === undefined || topic === '') {
    throw new UsageError('-L needs a topic behind the host, as in mqtt://host/topic')
  }
  return { url: `${scheme}${authority}`, topic }
}

function refusePath(url: string): void {
  if (!WITHOUT_PATH.test(url)) return
  const [, path] = /^\w+:\/\/[^/?#]*[/](.+)$/s.exec(url) ?? []
  if (path === undefined) return
  throw new UsageError(
    `the path of the URL, /${path}, would have no effect; if it is the topic, write -L before ` +
      `the URL, or the topic by itself: -t '${path}'`,
  )
}

/**
 * @returns for `-S`: a function that asks the domain of `-h` for its servers before each attempt,
 *   and gives them to the loop in the order of their priorities.
 */
export function srvLookup({ host = '' }: ServerFlags, wantsTls: boolean): ConnectOptions {
  const name = `_${wantsTls ? 'secure-mqtt' : 'mqtt'}._tcp.${host}`
  return async () => {
    const found = await resolveSrv(name)
    found.sort((a, b) => a.priority - b.priority || b.weight - a.weight)
    return { url: found.map((one) => urlOfHost(one.name, one.port, wantsTls)) }
  }
}
