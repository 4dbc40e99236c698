/**
 * How does a configuration come from the network? By `https:` only, also behind redirections, in a
 * bounded time, and no more than a bounded number of bytes.
 */
import { type Platform, UsageError } from '../../index.ts'
import type { ConfigFetch, ConfigResponse } from './config-types.ts'

export const CONFIG_BYTES_MAX = 1_048_576
const FETCH_MS_MAX = 5000
const REDIRECTIONS_MAX = 5

/** @throws UsageError that says why there is no text; it does not quote the query of the URL. */
export async function fetchConfig(
  url: URL,
  fetch: ConfigFetch,
  clock: Platform,
): Promise<{ readonly text: string; readonly isJson: boolean }> {
  const what = `loadConfig: ${shownUrl(url)}`
  const stop = new AbortController()
  let timer: unknown
  const late = new Promise<never>((_, reject) => {
    timer = clock.setTimer(() => {
      reject(new UsageError(`${what} did not come within ${FETCH_MS_MAX} ms`))
      stop.abort()
    }, FETCH_MS_MAX)
  })
  try {
    return await Promise.race([followed(what, url, fetch, stop.signal), late])
  } catch (cause) {
    if (cause instanceof UsageError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`${what} cannot be read: ${why}`, { cause })
  } finally {
    clock.clearTimer(timer)
    // A body that was not read to its end is given up.
    stop.abort()
  }
}

async function followed(what: string, first: URL, fetch: ConfigFetch, signal: AbortSignal) {
  let url = first
  for (let count = 0; count <= REDIRECTIONS_MAX; count++) {
    const response = await fetch(url, { redirect: 'manual', signal })
    if (response.type === 'opaqueredirect') {
      throw new UsageError(`${what} redirects, and a page cannot see where; give the last URL`)
    }
    const { status } = response
    const location = response.headers.get('location')
    if (status < 300 || status > 399 || location === null) {
      if (status !== 200) throw new UsageError(`${what}: the server answers with status ${status}`)
      const text = await boundedText(what, response)
      const type = response.headers.get('content-type') ?? ''
      return { text, isJson: /json/i.test(type) || url.pathname.endsWith('.json') }
    }
    url = URL.canParse(location, url.href) ? new URL(location, url.href) : new URL('invalid:')
    if (url.protocol !== 'https:') {
      throw new UsageError(`${what} redirects to ${url.protocol}, and only https: is followed`)
    }
  }
  throw new UsageError(`${what} redirects more than ${REDIRECTIONS_MAX} times`)
}

async function boundedText(what: string, response: ConfigResponse): Promise<string> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let length = 0
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true }
    if (done || value === undefined) return text + decoder.decode()
    length += value.length
    if (length > CONFIG_BYTES_MAX) throw new UsageError(`${what} has more than 1 MiB`)
    text += decoder.decode(value, { stream: true })
  }
}

/** A query and a user may be secrets. */
function shownUrl({ origin, pathname }: URL): string {
  return `${origin}${pathname}`
}
