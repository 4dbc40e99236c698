/**
 * What may a command line look like? The examples below the help of each command; tests hold that
 * the parser takes each of them.
 */
import type { Command } from 'commander'

interface Example {
  readonly line: string
  readonly about: string
}

/** By the words that lead to the command. */
const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  '': [
    { line: 'it-mqtt sub -h test.mosquitto.org -v "plant/#"', about: 'see what is published' },
    { line: 'it-mqtt pub -h test.mosquitto.org plant/7 21.5', about: 'publish a message' },
    { line: 'it-mqtt -c plant sub "plant/#"', about: 'with the options of a profile' },
  ],
  pub: [
    { line: 'it-mqtt pub -h localhost plant/7 21.5', about: 'a topic and a message' },
    {
      line: 'it-mqtt pub --url mqtts://plant.example -u anna --ask-password -t a -m on -q 1 -r',
      about: 'TLS, a password, QoS 1, retained',
    },
    { line: 'sensor | it-mqtt pub -h localhost -t plant/7 -l', about: 'each line is a message' },
  ],
  sub: [
    { line: 'it-mqtt sub -h localhost -v "plant/#"', about: 'topic and message' },
    {
      line: 'it-mqtt sub -h localhost -t plant/7 -C 1 -W 5',
      about: 'one message, for 5 s at most',
    },
    { line: "it-mqtt sub -h localhost -F '@H:@M:@S %t %p' '#'", about: 'with the time' },
  ],
  rr: [
    { line: 'it-mqtt rr -h localhost -t ask -e answers/me -m "how warm?" -W 5', about: '' },
    { line: 'it-mqtt rr -h localhost -t ask -e answers/me -f question.json', about: 'from a file' },
    {
      line: 'it-mqtt rr -h localhost -t ask -e answers/me -n -F "%t %p"',
      about: 'an empty request; the answer with its topic',
    },
  ],
  top: [
    { line: 'it-mqtt top -h localhost', about: 'all topics, as a tree' },
    { line: "it-mqtt top -h localhost 'plant/#' -T 'plant/+/debug'", about: 'without some' },
    { line: 'it-mqtt top -h localhost --json --interval 10', about: 'lines of JSON, every 10 s' },
  ],
  bus: [
    { line: 'it-mqtt bus list -h localhost', about: 'which services run' },
    { line: 'it-mqtt bus list -h localhost --api auth', about: 'who serves an API' },
    { line: 'it-mqtt bus stats -h localhost', about: 'what became of calls and events' },
    { line: 'it-mqtt bus inspect -h localhost --follow', about: 'which events come' },
    { line: 'it-mqtt bus shell -h localhost', about: 'call services by hand' },
    { line: 'it-mqtt bus redrive -h localhost mail.welcome', about: 'put dead letters back' },
    {
      line: 'it-mqtt bus forget -h localhost mail.welcome --process web-1',
      about: 'remove a listener that is no longer needed',
    },
    { line: 'it-mqtt bus run', about: 'the service of this folder' },
    { line: 'it-mqtt bus run --module shop.js --config shop.yaml', about: '' },
    { line: 'it-mqtt bus dumpconfigschema > bus.schema.json', about: 'for an editor' },
    { line: 'it-mqtt bus dumpschema -h localhost --api auth', about: 'what a service takes' },
    { line: 'it-mqtt bus diffschema old.ndjson new.ndjson', about: 'does the new one break it?' },
    { line: 'it-mqtt bus asyncapi --module ./apis.js -o api.json', about: 'as AsyncAPI' },
  ],
  'bus run': [
    { line: 'it-mqtt bus run', about: 'with bus.ts or bus.js, and bus.yaml, of this folder' },
    { line: 'it-mqtt bus run --module shop.js --config shop.yaml --skip tasks', about: '' },
    { line: 'it-mqtt bus run --only tasks', about: 'a process for the tasks alone' },
  ],
  'bus dumpconfigschema': [
    { line: 'it-mqtt bus dumpconfigschema > bus.schema.json', about: 'for an editor' },
    { line: 'it-mqtt bus dumpconfigschema | jq .properties.client', about: 'of one setting' },
    { line: 'it-mqtt bus dumpconfigschema | less', about: '' },
  ],
  'retained list': [
    { line: "it-mqtt retained list -h localhost 'plant/#'", about: '' },
    { line: "it-mqtt retained list -h localhost '#' '$SYS/#'", about: 'those of the server too' },
    { line: "it-mqtt retained list -h localhost '#' -T 'plant/#'", about: 'without some' },
  ],
  'retained save': [
    { line: "it-mqtt retained save -h localhost 'plant/#' -o plant.ndjson", about: 'to a file' },
    { line: "it-mqtt retained save -h localhost '#' | gzip > all.ndjson.gz", about: 'packed' },
    { line: "it-mqtt -c plant retained save '#' -T 'log/#'", about: 'with a profile, and not all' },
  ],
  'retained restore': [
    { line: 'it-mqtt retained restore -h localhost plant.ndjson', about: '' },
    { line: 'it-mqtt retained restore -h localhost all.ndjson.gz', about: 'from a packed file' },
    { line: 'it-mqtt -c spare retained restore plant.ndjson', about: 'to the server of a profile' },
  ],
  'retained remove': [
    { line: "it-mqtt retained remove -h localhost 'old/#' --dry-run", about: 'what it would be' },
    { line: "it-mqtt retained remove -h localhost 'old/#'", about: '' },
    { line: "it-mqtt retained remove -h localhost 'old/#' -T 'old/keep'", about: 'all but one' },
  ],
  pipe: [
    {
      line: 'sensor | it-mqtt pipe -h localhost -t plant/7 -q 1 --spool spool/',
      about: 'lines as they are; they wait on disk while there is no connection',
    },
    {
      line: 'it-mqtt pipe -h localhost requests.ndjson -q 1 --checkpoint done.json',
      about: 'goes on where it stopped',
    },
    {
      line: 'it-mqtt pipe -h localhost app.log -t logs -q 1 --follow --checkpoint done.json',
      about: 'a log that grows',
    },
  ],
  'bench conn': [
    { line: 'it-mqtt bench conn -h localhost -c 1000', about: '1000 connections' },
    { line: 'it-mqtt bench conn -h localhost -c 1000 --duration 60s', about: 'that stay for 60 s' },
    { line: 'it-mqtt bench conn -h localhost -c 1000 --json', about: 'as JSON' },
  ],
  'bench pub': [
    { line: 'it-mqtt bench pub -h localhost -q 1 --duration 10s', about: 'as fast as it goes' },
    { line: 'it-mqtt bench pub -h localhost -c 10 --rate 5000', about: '5000 a second together' },
    {
      line: 'it-mqtt bench pub -h localhost -q 1 --rate 500 --fail-above p99=50ms',
      about: 'status 1 if it is slower',
    },
  ],
  'bench sub': [
    { line: "it-mqtt bench sub -h localhost -t 'plant/#'", about: 'until Ctrl-C' },
    { line: "it-mqtt bench sub -h localhost -t 'plant/#' --messages 10000", about: '' },
    { line: "it-mqtt bench sub -h localhost -t 'client/%i' -c 100", about: 'a filter for each' },
  ],
  'bench pub-sub': [
    { line: 'it-mqtt bench pub-sub -h localhost', about: 'from one publisher to one subscriber' },
    { line: 'it-mqtt bench pub-sub -h localhost -q 1 --rate 1000 --duration 60s', about: '' },
    { line: 'it-mqtt bench pub-sub -h localhost --rate 100 --subscribers 50', about: 'to many' },
  ],
  doctor: [
    { line: 'it-mqtt doctor -h localhost', about: 'what you may rely on, and what not' },
    {
      line: 'it-mqtt doctor mqtts://plant.example -u anna --ask-password --prefix anna/doctor',
      about: 'where an ACL allows some topics alone',
    },
    {
      line: 'it-mqtt doctor -h localhost --only session,will-takeover --evidence',
      about: 'two questions, with what was sent and what came',
    },
  ],
  'bus redrive': [
    { line: 'it-mqtt bus redrive -h localhost mail.welcome', about: 'all of one listener' },
    { line: 'it-mqtt bus redrive -h localhost mail.welcome --max 10', about: 'ten of them' },
    { line: 'it-mqtt bus redrive -h localhost mail.welcome --keep 90', about: 'kept for longer' },
  ],
  'bus forget': [
    { line: 'it-mqtt bus forget -h localhost mail.welcome --process web-1', about: '' },
    {
      line: 'it-mqtt bus forget -h broker -V 4 mail.welcome --process web-1',
      about: 'by MQTT 3.1.1',
    },
    {
      line: 'it-mqtt bus forget -h localhost --prefix shop mail.welcome --process web-1',
      about: '',
    },
  ],
  'bus list': [
    { line: 'it-mqtt bus list -h localhost', about: 'all processes of all services' },
    { line: 'it-mqtt bus list -h localhost --service shop --json', about: 'as lines of JSON' },
    { line: 'it-mqtt bus list -h localhost --api auth || echo nobody', about: 'is it served?' },
  ],
  'bus stats': [
    { line: 'it-mqtt bus stats -h localhost --service shop', about: '' },
    { line: 'it-mqtt bus stats -h localhost --follow --interval 10', about: 'every 10 s' },
    { line: 'it-mqtt bus stats -h localhost --json', about: 'with all numbers, as lines of JSON' },
  ],
  'bus inspect': [
    { line: "it-mqtt bus inspect -h localhost --follow --event 'user*'", about: 'some events' },
    { line: 'it-mqtt bus inspect -h localhost --validate', about: 'does what is retained fit?' },
    {
      line: 'it-mqtt bus inspect -h localhost --follow --json --where user.name=Ada',
      about: 'by their values, as lines of JSON',
    },
  ],
  'bus shell': [
    { line: 'it-mqtt bus shell -h localhost', about: 'with what services have published' },
    { line: 'it-mqtt bus shell -h localhost --module ./apis.js', about: 'with APIs in code' },
    {
      line: `echo 'await api.auth.ping()' | it-mqtt bus shell -h localhost`,
      about: 'one call, from a script',
    },
  ],
  'bus dumpschema': [
    { line: 'it-mqtt bus dumpschema -h localhost -o all.ndjson', about: 'all that is published' },
    { line: 'it-mqtt bus dumpschema -h localhost --api auth', about: 'of one API' },
    { line: 'it-mqtt bus dumpschema --module ./apis.js --service web', about: 'from code' },
  ],
  'bus diffschema': [
    { line: 'it-mqtt bus diffschema old.ndjson new.ndjson', about: '' },
    { line: 'it-mqtt bus diffschema old.ndjson new.ndjson || exit', about: 'in a script' },
    {
      line: 'it-mqtt bus dumpschema --module ./apis.js | it-mqtt bus diffschema old.ndjson -',
      about: 'with what is in code',
    },
  ],
  'bus asyncapi': [
    { line: 'it-mqtt bus asyncapi --module ./apis.js', about: '' },
    {
      line: 'it-mqtt bus asyncapi -h localhost --api auth -o auth.json',
      about: 'of what is served',
    },
    { line: 'it-mqtt bus asyncapi --module ./apis.js --server mqtts://plant.example', about: '' },
  ],
  presence: [
    { line: 'it-mqtt presence -h localhost room/42', about: 'who is there, live' },
    { line: 'it-mqtt presence -h localhost room/42 --once', about: 'who is there now' },
    {
      line: `it-mqtt presence -h localhost room/42 -i ada --enter '{"name":"Ada"}' --json`,
      about: 'be there, and write what happens as JSON',
    },
  ],
  spool: [
    { line: 'it-mqtt spool spool/', about: 'how much waits' },
    { line: 'it-mqtt spool spool/ --json', about: 'what waits' },
    { line: 'it-mqtt spool spool/ --json | head -1', about: 'the oldest' },
  ],
  replay: [
    { line: 'it-mqtt replay recording.ndjson', about: 'what was decided, step by step' },
    { line: 'it-mqtt replay recording.ndjson --json', about: 'the same as JSON' },
    { line: 'it-mqtt replay recording.ndjson > /dev/null', about: 'whether it is as recorded' },
  ],
  completion: [
    { line: 'source <(it-mqtt completion bash)', about: 'in ~/.bashrc' },
    { line: 'it-mqtt completion zsh > ~/.zfunc/_it-mqtt', about: 'a folder of $fpath' },
    {
      line: 'it-mqtt completion fish > ~/.config/fish/completions/it-mqtt.fish',
      about: '',
    },
  ],
  help: [
    { line: 'it-mqtt help sub', about: 'the help of a command' },
    { line: 'it-mqtt help config', about: 'how a configuration file looks' },
    { line: 'it-mqtt help exit-codes', about: 'what an exit status means' },
  ],
}

/** Adds its examples to the help of a command, and of the commands below it. */
export function addExamples(command: Command): void {
  command.addHelpText('after', () => {
    const lines = examplesOf(command).map(({ line, about }) => exampleText(line, about))
    return lines.length === 0 ? '' : `\nExamples:\n${lines.join('\n')}`
  })
  for (const one of command.commands) addExamples(one)
}

/** @returns the examples of a command; of one with commands below it, one of each of these. */
export function examplesOf(command: Command): readonly Example[] {
  return EXAMPLES[pathOf(command)] ?? command.commands.flatMap((one) => examplesOf(one).slice(0, 1))
}

/** @returns the words that lead to a command, without the name of the program. */
function pathOf(command: Command): string {
  return command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trim()
}

function exampleText(line: string, about: string): string {
  return about === '' ? `  ${line}` : `  ${line}\n      # ${about}`
}
