// From the start of a service's process until it has answered the first call, in ms. The caller, in
// this process, is connected before. start-service.mjs PORT bus|moleculer
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const [port, name] = process.argv.slice(2)
const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const { began, service, answer } = await (name === 'bus' ? viaBus() : viaMoleculer())
if (answer !== 'x') throw new Error('the answer is another one')
const ms = performance.now() - began
service.kill('SIGKILL')
console.log(JSON.stringify({ ms }))
process.exit(0)

function start(...args) {
  const began = performance.now()
  return { began, service: spawn(process.execPath, args, { stdio: 'ignore' }) }
}

async function viaBus() {
  const { createBus } = await import('it-mqtt/bus')
  const { bench } = await import('./service-bus.mjs')
  const client = { url: `mqtt://127.0.0.1:${port}` }
  writeFileSync(here('bus.json'), JSON.stringify({ service: 'server', client }))
  const bus = createBus({ service: 'caller', process: 'one', client })
  void bus.run()
  const { ask } = bus.api(bench)
  // Until there is a service, a call is refused at once.
  await ask('x').catch(() => {})
  const main = here('node_modules/it-mqtt/dist/cli/main.js')
  const flags = ['--module', here('service-bus.mjs'), '--config', here('bus.json')]
  const started = start(main, 'bus', 'run', ...flags)
  for (;;) {
    try {
      return { ...started, answer: await ask('x', { timeout: 10_000 }) }
    } catch (error) {
      if (error.code !== 'NO_RESPONDERS') throw error
      await setTimeout(1)
    }
  }
}

async function viaMoleculer() {
  const { node } = await import('./service-moleculer.mjs')
  const broker = node(port, 'caller')
  await broker.start()
  const started = start(here('service-moleculer.mjs'), port, 'server')
  // It asks every ms, and would do so every second.
  await broker.waitForServices('bench', 10_000, 1)
  return { ...started, answer: await broker.call('bench.ask', { text: 'x' }) }
}
