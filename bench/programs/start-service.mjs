// From the start of a service's process until it has answered the first call, in ms, and its CPU
// time until then. The caller, in this process, is connected before. start-service.mjs PORT bus|moleculer
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const [port, name] = process.argv.slice(2)
const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const { began, service, answer } = await (name === 'bus' ? viaBus() : viaMoleculer())
if (answer !== 'x') throw new Error('the answer is another one')
const ms = performance.now() - began
const cpuMs = cpuMsOf(service.pid)
console.log(JSON.stringify({ ms, cpuMs }))
process.exit(0)

// As Linux counts it, in ticks of 10 ms; undefined elsewhere.
function cpuMsOf(pid) {
  const path = `/proc/${pid}/stat`
  if (!existsSync(path)) return undefined
  // What stands before the closing parenthesis is a name, which may have spaces.
  const fields = readFileSync(path, 'utf8').split(') ').at(-1).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function start(...args) {
  const began = performance.now()
  const service = spawn(process.execPath, args, { stdio: 'ignore' })
  // Also if this process fails: a service that is left would answer the next one.
  process.on('exit', () => service.kill('SIGKILL'))
  return { began, service }
}

async function viaBus() {
  const { createBus } = await import('it-mqtt/bus')
  const { bench } = await import('./service-bus.mjs')
  const client = { url: `mqtt://127.0.0.1:${port}` }
  const config = { service: 'server', client }
  writeFileSync(here('bus.json'), JSON.stringify(config))
  const bus = createBus({ service: 'caller', process: 'one', client })
  void bus.run()
  const { ask } = bus.api(bench)
  // Until there is a service, a call is refused immediately.
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
