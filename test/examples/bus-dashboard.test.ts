/**
 * Goal: each query of the Grafana dashboard of a bus finds what it asks for. Method: two buses do
 * all that is counted, /metrics is read over HTTP, and the names, labels and values of each query
 * are looked up in its text. The check is tried on queries that are wrong.
 */
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { Registry } from 'prom-client'
import { beforeAll, describe, expect, test } from 'vitest'
import { serve } from '../../docs/examples/observability/prometheus.ts'
import { prometheus } from '../../src/bus/index.ts'
import { answers, auth, BusWorld } from '../bus/bus-world.ts'

const file = new URL('../../docs/examples/observability/bus-dashboard.json', import.meta.url)

interface Target {
  readonly expr: string
  readonly legendFormat: string
}
interface Panel {
  readonly title: string
  readonly targets: readonly Target[]
  readonly gridPos: { readonly x: number; readonly y: number }
}
const dashboard = JSON.parse(readFileSync(file, 'utf8')) as {
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { name: string; query: string }[] }
}
const targets = dashboard.panels.flatMap((panel) =>
  panel.targets.map((target) => ({ title: panel.title, ...target })),
)

/** The values of each label of each metric, as a scrape shows them. */
type Scrape = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>

function scrapeOf(text: string): Scrape {
  const metrics = new Map<string, Map<string, Set<string>>>()
  for (const line of text.split('\n')) {
    const [, metric, labels = ''] = /^(itmqtt_\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    if (metric === undefined) continue
    const values = metrics.get(metric) ?? new Map<string, Set<string>>()
    metrics.set(metric, values)
    for (const [, label, value] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      values.set(label!, (values.get(label!) ?? new Set()).add(value!))
    }
  }
  return metrics
}

/** @returns what a query asks for and a scrape has not. */
function missing(scrape: Scrape, expr: string, legend = ''): string[] {
  const problems: string[] = []
  const found = [...expr.matchAll(/(itmqtt_\w+)\{([^}]*)\}/g)]
  if (found.length !== 1) return [`${found.length} metrics with a selector`]
  const [, metric, selector] = found[0]!
  const labels = scrape.get(metric!)
  if (labels === undefined) return [`no metric ${metric}`]
  for (const [, label, operator, value] of selector!.matchAll(
    /(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"/g,
  )) {
    const values = labels.get(label!)
    if (values === undefined) problems.push(`no label ${label}`)
    else if (operator === '=' && !values.has(value!)) problems.push(`no ${label}="${value}"`)
  }
  const [, grouped = ''] = /\bby \(([^)]*)\)/.exec(expr) ?? []
  const by = grouped.split(',').map((label) => label.trim())
  for (const label of by) if (!labels.has(label)) problems.push(`no label ${label} to group by`)
  for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
    if (!by.includes(label!)) problems.push(`the legend has ${label}, by which nothing is grouped`)
  }
  return problems
}

let scrape: Scrape

beforeAll(async () => {
  const w = new BusWorld()
  const registry = new Registry()
  const server = w.bus('server')
  const client = w.bus('client')
  for (const bus of [server, client]) await prometheus(bus, registry)
  server.serve(auth, answers)
  server.api(auth).cleared.listen('mail', { onError: 'deadLetter' }, () => {
    throw new Error('not now')
  })
  await w.run(server)
  await w.value(client.api(auth).length('a'), 100)
  await w.error(client.api(auth).length(7 as never), 100)
  await w.value(server.fire(auth, 'cleared'), 100)
  await using http = await serve(registry, 0)
  const { port } = http.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/metrics`)
  scrape = scrapeOf(await response.text())
})

describe('[B19] the dashboard of a bus', () => {
  test.each(targets)('[B19] $title: $legendFormat', ({ expr, legendFormat }) => {
    expect(missing(scrape, expr, legendFormat)).toEqual([])
  })

  test('[B19] shows every metric, and each panel has a place of its own', () => {
    const all = [...scrape.keys()].map((name) => name.replace(/_(?:bucket|sum|count)$/, ''))
    expect(new Set(all).size).toBe(11)
    const asked = targets.map(({ expr }) => expr).join(' ')
    expect([...new Set(all)].filter((name) => !asked.includes(name))).toEqual([])
    const places = dashboard.panels.map(({ gridPos: { x, y } }) => `${x} ${y}`)
    expect(new Set(places).size).toBe(dashboard.panels.length)
  })

  test('[B19] finds the services by a label that its metrics have', () => {
    const { query } = dashboard.templating.list.find(({ name }) => name === 'service')!
    const [, pattern, label] = /^label_values\(\{__name__=~"(.*)"\}, (\w+)\)$/.exec(query)!
    const names = [...scrape.keys()].filter((name) => new RegExp(`^(?:${pattern})$`).test(name))
    expect(names).toHaveLength(3)
    const services = names.flatMap((name) => [...scrape.get(name)!.get(label!)!])
    expect([...new Set(services)].sort()).toEqual(['client', 'server'])
  })

  test.each([
    ['sum by (api) (rate(itmqtt_bus_no_such_total{service="server"}[5m]))', 'no metric'],
    ['sum by (api) (rate(itmqtt_bus_called_rpcs_total{services="x"}[5m]))', 'no label services'],
    ['sum by (host) (rate(itmqtt_bus_called_rpcs_total{service="client"}[5m]))', 'no label host'],
    ['sum by (le) (itmqtt_bus_rpc_seconds_bucket{side="caller"})', 'no side="caller"'],
    ['sum by (api) (itmqtt_bus_rpc_seconds{side="call"})', 'no metric'],
    ['sum(itmqtt_bus_called_rpcs_total)', '0 metrics'],
  ])('[B19] the check refuses %s', (expr, problem) => {
    expect(missing(scrape, expr).join()).toContain(problem)
  })
})
