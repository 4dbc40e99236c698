/** A function of Cloudflare Workers: `/NAME?url=…&version=…` is answered with what came back. */
import { exchange } from './exchange.js'
import { exchangeEvents } from './exchange-events.js'

const PROGRAMS = { '/loop': exchange, '/events': exchangeEvents }

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url)
    try {
      const program = PROGRAMS[pathname]
      return new Response(
        await program(searchParams.get('url'), Number(searchParams.get('version'))),
      )
    } catch (error) {
      return new Response(`failed: ${error.stack}`, { status: 500 })
    }
  },
}
