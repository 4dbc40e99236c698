/**
 * A plant with three lines, its energy and the weather: something to look at. The set points of the
 * lines can be published, and the temperatures follow them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient } from 'it-mqtt/client'

const LINES = ['line-1', 'line-2', 'line-3']
const STATES = ['running', 'running', 'running', 'changeover', 'idle']
const LOGS = ['conveyor started', 'filter changed', 'door opened', 'door closed', 'batch complete']
/** The shortest time between two messages of one topic, in ms. */
const BEAT_MS = 250
const CLOSE_MS = 500

const wave = (beat: number, beats: number, phase = 0) =>
  Math.sin((beat / beats + phase) * 2 * Math.PI)
const noise = (size: number) => (Math.random() - 0.5) * size
const pick = (from: readonly string[]) => from[Math.floor(Math.random() * from.length)]!

/** Publishes until the signal is aborted. */
export async function runPlant(url: string, signal: AbortSignal): Promise<void> {
  await using client = createClient({ url, reconnect: 'always' })
  // A publish waits for the next connection, which there may not be.
  signal.addEventListener('abort', () => void client.close({ timeout: CLOSE_MS }))
  const targets = new Map(LINES.map((line, index) => [line, 60 + index * 12]))
  const temperatures = new Map(targets)
  const setPoints = client
    .subscribe('plant/{line}/setpoint/set', { qos: 1 })
    .forEach(async ({ params: { line }, payload }) => {
      const target = Number(payload.toString())
      if (!targets.has(line) || !Number.isFinite(target)) return
      targets.set(line, target)
      await client.publish(`plant/${line}/setpoint`, String(target), { retain: true })
    })

  for (let beat = 0; !signal.aborted; beat++) {
    for (const [line, target] of targets) {
      const now = temperatures.get(line)!
      temperatures.set(line, now + (target - now) / 24 + noise(0.4))
    }
    // What the broker does not take is old when it could; the next beat has newer values.
    await Promise.all(messagesOf(client, beat, targets, temperatures)).catch(() => {})
    await sleep(BEAT_MS, null, { signal }).catch(() => {})
  }
  await client.close()
  await setPoints
}

function messagesOf(
  client: Client,
  beat: number,
  targets: ReadonlyMap<string, number>,
  temperatures: ReadonlyMap<string, number>,
): readonly Promise<unknown>[] {
  const every = (seconds: number) => beat % (seconds * 4) === 0
  const all: Promise<unknown>[] = []
  const send = (topic: string, payload: unknown, retain = false) => {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
    all.push(client.publish(topic, text, { qos: 0, retain }))
  }
  const round = (value: number, digits = 1) => Number(value.toFixed(digits))

  LINES.forEach((line, index) => {
    const phase = index / LINES.length
    const axis = (beats: number) => round(wave(beat, beats, phase) * 2 + noise(1), 2)
    send(`plant/${line}/vibration`, { x: axis(9), y: axis(13) })
    if (every(1)) {
      send(`plant/${line}/temperature`, round(temperatures.get(line)!))
      send(`plant/${line}/pressure`, round(4 + wave(beat, 120, phase) * 0.6 + noise(0.1), 2))
    }
    if (every(20)) send(`plant/${line}/setpoint`, targets.get(line), true)
    if (every(15)) send(`plant/${line}/state`, beat === 0 ? 'running' : pick(STATES), true)
  })
  if (every(1)) {
    const solar = Math.max(0, 4200 + wave(beat, 480) * 1600 + noise(300))
    send('energy/solar/power', Math.round(solar))
    send('energy/grid/power', Math.round(6500 - solar + noise(400)))
    send('energy/battery/charge', round(62 + wave(beat, 900) * 20))
  }
  if (every(5)) {
    const temperature = round(11 + wave(beat, 700) * 3 + noise(0.3))
    send('weather/roof', { temperature, wind: round(5 + noise(3)), sky: 'cloudy' }, true)
  }
  if (every(7)) send('log/gateway', `${new Date().toISOString()} ${pick(LINES)}: ${pick(LOGS)}`)
  return all
}
