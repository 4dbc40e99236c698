/** A page with event streams: its title is what came back. */
import { exchangeEvents } from './exchange-events.js'

const [url, version] = location.hash.slice(1).split(',')
const failed = (error) => `failed: ${error.stack}`
document.title = await exchangeEvents(url, Number(version)).catch(failed)
