/** A page with the loop: its title is what came back. */
import { exchange } from './exchange.js'

const [url, version] = location.hash.slice(1).split(',')
document.title = await exchange(url, Number(version)).catch((error) => `failed: ${error.stack}`)
