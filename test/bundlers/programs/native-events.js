/** An app of React Native with event streams and without a view: the host calls `exchange`. */
import { exchangeEvents } from './exchange-events.js'

globalThis.exchange = exchangeEvents
