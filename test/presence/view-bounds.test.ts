/** What a view remembers has a bound, whatever comes and whoever sends it. */
import { expect, test } from 'vitest'
import { ViewProbe } from './view-probe.ts'

test('[H8] farewells of strangers are not kept', () => {
  const view = new ViewProbe()
  for (let i = 0; i < 1000; i++) view.farewell(`x${i}`, i)
  expect(view.view).toMatchObject({ connections: 0, repeated: 1000 })
})

test('[H8] connections without a member here are bounded', () => {
  const view = new ViewProbe({ maxMembers: 10 })
  for (let i = 0; i < 1000; i++) view.up(i, { ttl: 0 })
  expect(view.view.connections).toBe(100)
  view.member('ada', 2000)
  expect(view.view.connections).toBe(100)
  expect(view.news()).toEqual(['enter ada'])
})

test('[H8] visitors who left are forgotten, without a lease too', () => {
  for (const ttl of [0, 300]) {
    const view = new ViewProbe({ maxMembers: 1000 })
    for (let i = 0; i < 100; i++) {
      view.member(`x${i}`, i)
      view.up(i, { ttl })
      view.emptied(`x${i}`, i)
    }
    view.pass(300)
    view.pass(600)
    expect(view.view.connections, `ttl ${ttl}`).toBe(0)
  }
})

test('[H2] [H5] who was lost does not come back as long as the server keeps the record', () => {
  const view = new ViewProbe()
  view.member('ada', 1)
  view.up(1)
  view.pass(300)
  expect(view.news()).toEqual(['enter ada', 'lost ada'])
  for (let day = 0; day < 3; day++) {
    view.pass(90_000)
    view.syncBegins()
    view.member('ada', 1, { retained: true })
    view.up(1, { retained: true })
    view.syncEnds()
    view.pass(300)
    expect(view.news()).toEqual([])
  }
  // The record has expired at the server.
  view.syncBegins()
  view.syncEnds()
  view.pass(90_000)
  expect(view.view.connections).toBe(0)
})

test('[H8] that there are too many is told once, not for each who goes', () => {
  const view = new ViewProbe({ maxMembers: 20 })
  const full = () => view.effects.filter(({ type }) => type === 'full').length
  for (let i = 0; i < 21; i++) view.member(`x${i}`, i)
  expect(full()).toBe(1)
  for (let i = 0; i < 5; i++) {
    view.emptied('x0', 0)
    view.member('x0', 0, { seq: 10 + i })
    view.member('y', 100 + i)
  }
  expect(full()).toBe(1)
  for (let i = 0; i < 5; i++) view.emptied(`x${i}`, i)
  for (let i = 0; i < 6; i++) view.member(`z${i}`, 200 + i)
  expect(full()).toBe(2)
})

test('[H8] a janitor removes what lies there of connections that have no member', () => {
  const view = new ViewProbe({ janitor: true })
  view.lost(7, { retained: true })
  view.pass(600)
  const clears = view.effects.filter(({ type }) => type === 'clear')
  expect(clears).toMatchObject([{ members: [], connection: '7'.padStart(24, '0') }])
})
