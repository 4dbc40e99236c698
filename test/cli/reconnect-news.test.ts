/**
 * Goal: the log of a service tells an outage from connections that are lost again and again. Method:
 * a table of the instants at which connections were made again.
 */
import { expect, test } from 'vitest'
import { ReconnectNews } from '../../src/cli/bus/reconnect-news.ts'

test.each<[string, readonly number[], readonly number[]]>([
  ['one outage, after which five connections come back together', [0, 100, 200, 300, 399], []],
  ['two processes that take the connection from each other', [0, 2000, 6000, 14_000, 30_000], [3]],
  ['connections that last', [0, 30_000, 60_000, 90_000, 120_000, 150_000], []],
  ['it goes on after a rest', [0, 1000, 2000, 40_000, 41_000, 42_000, 43_000, 44_000], [6]],
])('[CLI] bus run: %s', (_, instants, told) => {
  const news = new ReconnectNews('mail/mail-1')
  const texts = instants.map((at) => news.again(at))
  expect(texts.flatMap((text, index) => (text === null ? [] : [index]))).toEqual(told)
  for (const index of told) expect(texts[index]).toContain('as mail/mail-1')
})
