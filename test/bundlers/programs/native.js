/** An app of React Native without a view: the host calls `exchange`. */
import { exchange } from './exchange.js'

globalThis.exchange = exchange
