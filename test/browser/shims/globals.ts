/**
 * What the tests, and not the engine, use of Node, for a browser. The tests' own server speaks
 * through mqtt-packet and through streams of Node, which npm packages bring.
 */
// biome-ignore lint/style/useNodejsImportProtocol: it is the npm package, for a browser.
import { Buffer } from 'buffer'
import * as process from './process.ts'
import { inOwnTurn } from './turns.ts'

Object.assign(globalThis, { Buffer, process, global: globalThis, setImmediate: inOwnTurn })
