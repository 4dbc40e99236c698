/** A function of Cloudflare Workers: `?url=…&version=…` is answered with what came back. */
import { exchange } from './exchange.js'

export default {
  async fetch(request) {
    const asked = new URL(request.url).searchParams
    try {
      return new Response(await exchange(asked.get('url'), Number(asked.get('version'))))
    } catch (error) {
      return new Response(`failed: ${error.stack}`, { status: 500 })
    }
  },
}
