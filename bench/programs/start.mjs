// From the start of the process to the CONNACK, in ms, and what importing took of it. The package as it is installed, not a
// bundle. start.mjs PORT it-mqtt|mqtt [4|5]
const [port, name, version = '5'] = process.argv.slice(2)
const began = performance.now()
const library = await import(name)
const importMs = performance.now() - began
const protocolVersion = Number(version)
if (name === 'mqtt') {
  const client = library.default.connect({ host: '127.0.0.1', port: Number(port), protocolVersion })
  await new Promise((resolve) => client.once('connect', resolve))
} else {
  const url = `mqtt://127.0.0.1:${port}`
  const { value } = await library.eventloop({ url, protocolVersion }).next()
  if (value.cmd !== 'connack') throw new Error(`${value.cmd} came first`)
}
const ms = performance.now()
console.log(JSON.stringify({ ms, importMs }))
process.exit(0)
