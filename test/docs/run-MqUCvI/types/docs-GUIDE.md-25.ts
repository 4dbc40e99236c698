import { publish, run } from 'it-mqtt'
import { fileRequests } from 'it-mqtt/disk'

for (const _ of ['today', 'tomorrow']) {
  await using lines = fileRequests('machine.csv', {
    checkpoint: 'machine.checkpoint',
    parse: (line, number) =>
      number === 1 ? null : publish('plant/machine/temperature', line, { qos: 1 }),
  })
  const { settled } = await run('mqtt://localhost', lines)
  console.log(settled, 'sent')
}
