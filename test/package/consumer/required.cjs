// The package in CommonJS: require() of an ES module, without a flag since Node 20.19.
const { eventloop, publish } = require('it-mqtt')

async function main() {
  const requests = [publish('required', 'hello', { qos: 1 })]
  for await (const packet of eventloop(process.argv[2], requests)) {
    if (packet.cmd === 'puback') console.log('delivered')
  }
}

main()
