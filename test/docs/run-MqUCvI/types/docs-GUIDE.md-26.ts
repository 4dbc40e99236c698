import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { publish, run } from 'it-mqtt'

async function* readings() {
  let line = 0
  for await (const text of createInterface({ input: createReadStream('machine.csv') })) {
    line++
    if (line === 1) continue
    if (line > 1001) return
    yield publish('plant/machine/temperature', text, { qos: 1 })
  }
}

const { settled, failed, unsettled } = await run('mqtt://localhost', readings())
console.log({ settled, failed: failed.length, unsettled: unsettled.length })
