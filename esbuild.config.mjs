/**
 * Bundles src/ into one file for each entry and one for what they share: `node esbuild.config.mjs
 * FOLDER`. A program that imports a hundred files needs twice as long to start.
 *
 * The shared files import `#bytes` and its like by these names, and package.json (`imports`) says
 * which of the two flavours, FOLDER/node or FOLDER/web, a runtime gets.
 */
import { existsSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

const INDEX = 'src/index.ts'

/**
 * Files of the layers import from src/index.ts, which imports the whole engine.
 * esbuild puts what an entry reaches into the same file, and another bundler leaves out whole files
 * more surely than single statements. So their imports are read as imports from the files that
 * define the names.
 */
const withoutIndex = {
  name: 'without-index',
  async setup({ onLoad }) {
    const exported = await exportedNames()
    onLoad({ filter: /\/src\/(?:bus|client|doctor|event-stream|presence)\/.*\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      const contents = text.replace(
        /^(import(?: type)?) \{([^}]*)\} from '((?:\.\.\/)+)index\.ts'/gm,
        (statement, keyword, list, up) => {
          // A folder inside of a layer imports the index of the layer, too.
          if (join(dirname(path), up, 'index.ts') !== join(import.meta.dirname, INDEX)) return statement
          return namesIn(list)
            .map(([name, local]) => {
              const from = exported.get(name)
              if (from === undefined) throw new Error(`${path}: ${INDEX} does not export ${name}`)
              return `${keyword} { ${from.name} as ${local} } from '${from.isFlavour ? '' : up}${from.file}'`
            })
            .join(';')
        },
      )
      return { contents, loader: 'ts' }
    })
  },
}

/** Reads which file defines each name that src/index.ts exports, and under which name. */
async function exportedNames() {
  const text = await readFile(INDEX, 'utf8')
  const exports = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from '(?:\.\/|(#))(.*)'/gm)]
  return new Map(
    exports.flatMap(([, list, mark, rest]) => {
      const file = mark === undefined ? rest : `#${rest}`
      const isFlavour = mark !== undefined
      return namesIn(list).map(([name, exported]) => [exported, { name, file, isFlavour }])
    }),
  )
}

/** @returns the names of a list of imports or exports, each before and behind its `as`. */
function namesIn(list) {
  const items = list.split(',').map((item) => item.trim().replace(/^type /, ''))
  return items.filter(Boolean).map((item) => {
    const [name, other = name] = item.split(' as ')
    return [name, other]
  })
}

const ENTRIES = [
  'index',
  'bus/index',
  'bus/testing/index',
  'client/index',
  // Entries of their own, so that one who imports `topic` does not get the client with it.
  'client/client',
  'client/topic',
  'disk/index',
  'doctor/index',
  'event-stream/index',
  'presence/index',
  'testing/index',
  'cli/main',
  // It reads package.json, whose place is relative to it.
  'cli/command-line',
]

/** What the names in `imports` of package.json stand for. */
const FLAVOURS = {
  'node/database': 'disk/node/database',
  'node/files': 'disk/node/files',
  'node/host': 'bus/node/host',
  'web/database': 'disk/web/database',
  'web/files': 'disk/web/files',
  'web/host': 'bus/web/host',
  'node/bytes': 'platform/node/bytes',
  'node/runtime': 'platform/node/runtime',
  'node/transport': 'platform/node/transport',
  'web/bytes': 'platform/web/bytes',
  'web/runtime': 'platform/web/runtime',
  'web/transport': 'platform/web/transport',
}

// Everything is built together, so that both flavours and all entries have the same classes.
await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: [...ENTRIES.map((path) => [path, path]), ...Object.entries(FLAVOURS)]
    .map(([out, path]) => ({ in: `src/${path}.ts`, out })),
  external: ['#*'],
  outdir: process.argv[2],
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  plugins: [withoutIndex],
  logLevel: 'warning',
})

/**
 * Removes the declarations that no public entry reaches: half of them, which no compiler reads.
 * @param {string} outdir where tsc has written them; without declarations nothing happens.
 */
async function removeUnreachedDeclarations(outdir) {
  const pack = await readFile(join(import.meta.dirname, 'package.json'), 'utf8')
  const { exports, imports } = JSON.parse(pack)
  const named = JSON.stringify([exports, imports]).matchAll(/"\.\/dist\/([^"]+\.d\.ts)"/g)
  const waiting = [...named].map(([, path]) => path)
  const reached = new Set()
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path) || !existsSync(join(outdir, path))) continue
    reached.add(path)
    const text = await readFile(join(outdir, path), 'utf8')
    for (const [, target] of text.matchAll(/(?:from |import\()['"](\.[^'"]+)\.[jt]s['"]/g)) {
      waiting.push(join(dirname(path), `${target}.d.ts`))
    }
  }
  for (const path of await readdir(outdir, { recursive: true })) {
    if (path.endsWith('.d.ts') && !reached.has(path)) await rm(join(outdir, path))
  }
}

await removeUnreachedDeclarations(process.argv[2])
