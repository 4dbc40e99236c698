/** A false loss, then a true one of the same connection: the pure account of a space. */
import { describe, expect, test } from 'vitest'
import { ViewProbe } from './view-probe.ts'

describe('a will after a false one of the same epoch', () => {
  const healed = () => {
    const view = new ViewProbe()
    view.member('ada', 1, { epoch: 5, seq: 1 })
    view.up(1, { epoch: 5, seq: 2, ttl: 0 })
    view.lost(1, { epoch: 5, ttl: 0 })
    expect(view.news()).toEqual(['enter ada', 'lost ada'])
    view.up(1, { epoch: 5, seq: 3, ttl: 0 })
    expect(view.news()).toEqual(['present ada'])
    return view
  }

  test('[H2] [H3] counts, since an `up` came between them', () => {
    const view = healed()
    view.lost(1, { epoch: 5, ttl: 0 })
    expect(view.news()).toEqual(['lost ada'])
    view.lost(1, { epoch: 5, ttl: 0 })
    expect(view.news()).toEqual([])
  })

  test('[H2] [H5] counts when a sync finds it kept by the server', () => {
    const view = healed()
    view.syncBegins()
    view.member('ada', 1, { epoch: 5, seq: 1, retained: true })
    view.lost(1, { epoch: 5, ttl: 0, retained: true })
    view.syncEnds()
    expect(view.news()).toEqual(['lost ada'])
  })

  test('[H1] both come again with the `up` between them, and the order of the server holds', () => {
    const view = healed()
    view.member('ada', 1, { epoch: 5, seq: 7 })
    view.lost(1, { epoch: 5, ttl: 0 })
    view.up(1, { epoch: 5, seq: 3, ttl: 0 })
    expect(view.news()).toEqual(['lost ada', 'present ada'])
  })
})
