/**
 * React Native without a device: Metro bundles an app with the package, the compiler of Hermes
 * takes the bundle, and an empty JavaScript context runs it, which has what React Native gives
 * and nothing else.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { WebSocket } from 'ws'
import { commandOf, install, output } from './packed.ts'
import { EVERYTHING, exchangeBoth, type Found, type Place } from './place.ts'

/** Each is pinned: a new version is no failure of this package. */
const PACKAGES = [
  ...[
    'metro@0.87.1',
    '@react-native/metro-babel-transformer@0.88.1',
    '@react-native/babel-preset@0.88.1',
  ],
  ...['@babel/core@7.29.13', 'hermes-compiler@260318099.0.8'],
]
/** As React Native sets it for an app; the conditions of packages are those of Metro. */
const CONFIG = `
module.exports = {
  projectRoot: __dirname,
  resolver: { unstable_conditionNames: ['react-native'] },
  transformer: { babelTransformerPath: require.resolve('@react-native/metro-babel-transformer') },
  reporter: { update() {} },
}
`
const PRESET = "module.exports = { presets: ['module:@react-native/babel-preset'] }\n"

export async function nativeColumn({ home, servers }: Place): Promise<Found> {
  await install(home, ...PACKAGES)
  const bundle = await bundleByMetro(home, 'native')
  const bytecode = join(home, 'native.hbc')
  await output(hermesCompiler(home), '-emit-binary', '-O', '-out', bytecode, bundle)
  const code = readFileSync(bundle, 'utf8')
  await exchangeBoth('bundle of Metro', servers, loadLikeReactNative(code))
  const events = readFileSync(await bundleByMetro(home, 'native-events'), 'utf8')
  const withTexts = loadLikeReactNative(events, { TextEncoder, TextDecoder })
  await exchangeBoth('event streams in a bundle of Metro', servers, withTexts)
  const require = createRequire(join(home, 'package.json'))
  const [metro, hermes] = ['metro', 'hermes-compiler'].map(
    (name) => (require(`${name}/package.json`) as { readonly version: string }).version,
  )
  const size = (path: string) => statSync(path).size.toLocaleString('en')
  return {
    title: 'React Native, best effort',
    cells: {
      [`Metro ${metro}`]: `${size(bundle)} B`,
      [`Hermes compiler ${hermes}`]: `${size(bytecode)} B of bytecode`,
      'run in an empty context': EVERYTHING,
      'event streams, with a TextDecoder': EVERYTHING,
    },
  }
}

async function bundleByMetro(home: string, program: string): Promise<string> {
  writeFileSync(join(home, 'metro.config.cjs'), CONFIG)
  writeFileSync(join(home, 'babel.config.cjs'), PRESET)
  const out = join(home, `${program}.bundle.js`)
  const flags = ['--config', join(home, 'metro.config.cjs'), '--out', out, '--platform', 'android']
  const options = ['--dev', 'false', '--minify', 'false', '--max-workers', '1', '--reset-cache']
  await output(commandOf(home, 'metro'), 'build', join(home, `${program}.js`), ...flags, ...options)
  return out
}

function hermesCompiler(home: string): string {
  const folders: Readonly<Record<string, string>> = {
    ...{ linux: 'linux64-bin', darwin: 'osx-bin', win32: 'win64-bin' },
  }
  const folder = folders[process.platform] ?? 'linux64-bin'
  return join(home, 'node_modules/hermes-compiler/hermesc', folder, 'hermesc')
}

/** What React Native 0.80 gives beyond the language, as far as a client could use it. */
function globalsOfReactNative(): object {
  const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = globalThis
  const { queueMicrotask, performance, console, URL, AbortController, AbortSignal } = globalThis
  return {
    ...{ setTimeout, clearTimeout, setInterval, clearInterval, setImmediate },
    ...{ queueMicrotask, performance, console, URL, AbortController, AbortSignal, WebSocket },
    ...{ navigator: { product: 'ReactNative' } },
    // The WebSocket makes buffers of this context, and a device has only one.
    ...{ ArrayBuffer, Uint8Array },
  }
}

type Exchange = (url: string, version: 4 | 5) => Promise<string>

/** @param more what the app brings itself: React Native has no TextDecoder. */
function loadLikeReactNative(code: string, more: object = {}): Exchange {
  const context = createContext({ ...globalsOfReactNative(), ...more })
  runInContext('var window = globalThis, global = globalThis, self = globalThis', context)
  runInContext(code, context, { filename: 'native.bundle.js' })
  return (context as { readonly exchange: Exchange }).exchange
}
