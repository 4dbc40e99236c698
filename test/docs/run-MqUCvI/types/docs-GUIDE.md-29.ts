import { publish, run } from 'it-mqtt'

const { settled, failed } = await run(
  'mqtt://localhost',
  [publish('guide/run', 'ok', { qos: 1 }), publish('not/a/+/topic', 'no')],
  { timeout: 5000 },
)
console.log(settled)
for (const { error } of failed) console.log(String(error))
