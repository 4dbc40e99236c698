/**
 * The benchmark compares with the peers that bench/README.md names: nobody made a peer slower. And
 * what it measured is shown, and written, in full.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { bus } from '../bench/bus.ts'
import { cells, judge, markdown, page } from '../bench/report.ts'
import { less, MQTT_JS, RATE } from '../bench/row.ts'
import { lacks } from '../bench/scale/beside.ts'
import { TABLES } from '../bench/tables.ts'

const bench = fileURLToPath(new URL('../bench', import.meta.url))

test('the peers are unchanged', () => {
  const readme = readFileSync(join(bench, 'README.md'), 'utf8')
  const noted = [...readme.matchAll(/^\| (peers\/\S+) +\| ([0-9a-f]{64}) \|$/gm)]
  expect(noted.map(([, name]) => name)).toEqual(
    readdirSync(join(bench, 'peers'))
      .sort()
      .map((name) => `peers/${name}`),
  )
  for (const [, name, sum] of noted) {
    const bytes = readFileSync(join(bench, name!))
    expect(createHash('sha256').update(bytes).digest('hex'), name).toBe(sum)
  }
})

describe('the figures of a row', () => {
  const row = { name: 'through', metrics: [RATE, less('ms', 'ms'), less('mb', 'MB')] }
  const figures = (rate: number, ms: number) => [{ rate, ms, mb: 10 }]
  const all = new Map([
    ['it-mqtt', [...figures(1, 9), ...figures(2000, 5), ...figures(3000, 4)]],
    ['floor', figures(4000, 1)],
    ['mqtt.js', figures(1000, 20)],
  ])

  test('each metric has a line, also if there are more of them than programs', () => {
    expect(judge(row, all).map(({ label }) => label)).toEqual(['messages/s', 'ms', 'MB'])
    const batches = new Map([...all, ['it-mqtt, batches', figures(1, 1)]])
    expect(judge(row, batches)).toHaveLength(6)
  })

  test('a line has the figures of MQTT.js and of the floor, and what is better is above 1', () => {
    const [rate, ms] = judge(row, all).map(cells)
    expect(rate).toMatchObject({ median: '2,000', 'MQTT.js': '1,000', floor: '4,000' })
    expect(rate).toMatchObject({ '× MQTT.js': 2, '× floor': 0.5, spread: '1–3,000' })
    expect(ms).toMatchObject({ median: '5', 'MQTT.js': '20', floor: '1' })
    expect(ms).toMatchObject({ '× MQTT.js': 4, '× floor': 0.2 })
  })

  test('without a floor its columns are empty', () => {
    const alone = new Map([...all].filter(([name]) => name !== 'floor'))
    expect(cells(judge(row, alone)[0]!)).toMatchObject({ floor: '', '× floor': '' })
  })

  test('other libraries have the columns of MQTT.js, where a table names them', () => {
    const peers = ['Moleculer', 'NestJS'].map((title) => ({ program: title, title }))
    const [rate, ms] = judge(row, new Map([...all, ['Moleculer', figures(500, 10)]]), peers)
    expect(cells(rate!)).toMatchObject({ '× Moleculer': 4, Moleculer: '500' })
    expect(cells(ms!)).toMatchObject({ '× Moleculer': 2, '× NestJS': '', NestJS: '' })
    expect(Object.keys(cells(rate!)).filter((title) => title.includes('MQTT.js'))).toEqual([])
  })

  test('the table in Markdown has all lines', () => {
    expect(markdown(judge(row, all).map(cells)).split('\n')).toHaveLength(2 + 3 + 1)
  })
})

describe('the tables', () => {
  const asked = new Set<string>()
  const scripts = new Map<string, string>()
  scripts.get = (name) => {
    asked.add(name)
    return `${name}.mjs`
  }
  const context = { scripts, scale: 0.1, installed: async (name: string) => `${name}.mjs` }
  const tables = Object.values(TABLES).map((make) => make(context))

  test('each program is among those that are compiled', () => {
    const main = readFileSync(join(bench, 'main.ts'), 'utf8')
    const missing = [...asked].filter((name) => !main.includes(`'${name}'`))
    expect([missing, asked.size > 30]).toEqual([[], true])
  })

  test.each(tables)(
    '$title: rows have names of their own, and programs that have a column',
    (table) => {
      const names = table.rows.map(({ name }) => name)
      expect(new Set(names).size).toBe(names.length)
      const peers = (table.peers ?? [MQTT_JS]).map(({ program }) => program)
      for (const { programs, metrics } of table.rows) {
        const others = programs
          .map(({ name }) => name)
          .filter((name) => !name.startsWith('it-mqtt'))
        expect([...peers, 'floor']).toEqual(expect.arrayContaining(others))
        expect(programs.length - others.length).toBeGreaterThan(0)
        expect(metrics.length).toBeGreaterThan(0)
      }
    },
  )

  test('the bus is measured beside Moleculer and NestJS with both qualities of service', () => {
    const rows = bus(context).rows.filter(({ programs }) =>
      ['it-mqtt', 'Moleculer', 'NestJS'].every((one) => programs.some(({ name }) => name === one)),
    )
    for (const what of ['calls with schemas, 1 at', 'calls with schemas, 100 at', 'events fired']) {
      for (const qos of [0, 1]) {
        const own = rows.filter(({ name }) => name.startsWith(what) && name.endsWith(`QoS ${qos}`))
        expect(own, `${what} QoS ${qos}`).toHaveLength(1)
        const peer = own[0]!.programs.find(({ name }) => name === 'Moleculer')!
        expect(peer.args(1883).at(-1)).toBe(qos)
      }
    }
  })
})

test('the page keeps what was not measured, in the order of the tables', () => {
  const before = '# Old\n\n## Raw\n\nold raw\n\n## Met\n\nold met\n\n## Gone\n\nx\n'
  const text = page(['Met', 'Raw', 'Never'], [{ title: 'Met', text: 'new met' }], before, '## C\n')
  const end = '## Met\n\nnew met\n\n## Raw\n\nold raw\n\n## C\n'
  expect(text.endsWith(end), text).toBe(true)
  expect(page(['Met', 'Raw', 'Never'], [], text, '## C\n')).toBe(text)
})

test('docs/BENCHMARKS.md leads with what users meet, and has clients of other languages', () => {
  const text = readFileSync(join(bench, '../docs/BENCHMARKS.md'), 'utf8')
  const titles = [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title)
  expect(titles[0]).toBe('What users meet')
  expect(text.endsWith(readFileSync(join(bench, 'other-languages.md'), 'utf8'))).toBe(true)
})

test('a limit of open files that is too low for the connections is named, with what to do', () => {
  const limits = (files: string) =>
    `Max open files            ${files}                4096     files\n`
  expect(lacks(10_000, limits('1024'))).toBe(
    'a process may open 1024 files here, and 10100 are needed: ulimit -n 10100',
  )
  for (const text of [limits('20000'), limits('unlimited'), '']) {
    expect(lacks(10_000, text)).toBeNull()
  }
})
