/** it-mqtt and MQTT.js in a page of Chromium at the same work. */
import { existsSync } from 'node:fs'
import { rawServer } from './measure.ts'
import { type Context, RATE, type Row, type Table } from './row.ts'

const CHROMIUM = '/usr/bin/chromium'
/** MQTT.js gets fewer messages, so that both programs run for about the same time. */
const SHARE_OF_MQTT_JS = 5

export function browser(context: Context): Table {
  const rows = (['pub', 'sub'] as const).flatMap((mode) =>
    ([0, 1] as const).map((qos) => row(context, mode, qos)),
  )
  return { title: 'In a browser: Chromium', rows }
}

function row({ scripts, scale }: Context, mode: 'pub' | 'sub', qos: 0 | 1): Row {
  const count = Math.max(5000, Math.round(500_000 * scale))
  const program = (name: string, peer: string, messages: number) => ({
    name,
    script: scripts.get('chromium')!,
    args: (port: number) => [port, peer, mode, qos, messages, 64],
  })
  return {
    name: `${mode === 'pub' ? 'publish' : 'receive'} QoS ${qos}, 64 B, WebSocket`,
    server: rawServer,
    programs: [
      program('it-mqtt', 'it-mqtt', count),
      program('mqtt.js', 'mqttjs', Math.round(count / SHARE_OF_MQTT_JS)),
    ],
    metrics: [RATE],
    lacks: existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is missing`,
  }
}
