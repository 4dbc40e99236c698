/** The text of docs/TOLERANCE.md, from the table in src/protocol/deviations.ts. */
import { DEVIATIONS, type DeviationKind } from '../../src/protocol/deviations.ts'
import { wrapped } from './markdown.ts'

/** Public reports of the deviation, or of its consequences. */
const REPORTS: { readonly [K in DeviationKind]?: readonly string[] } = {
  RESERVED_BITS: [
    'thingsboard/thingsboard#1668',
    'espressif/esp-mqtt#134',
    'moquette-io/moquette#362',
    'cesanta/mongoose#1001',
    'hivemq/hivemq-mqtt-client#340',
  ],
  DUP_AT_QOS_0: ['emqx/emqx#1319'],
  WILDCARD_IN_TOPIC: ['hivemq/hivemq-mqtt-client#515'],
  UNREADABLE_TOPIC: ['eclipse-mosquitto/mosquitto#2168', 'eclipse-mosquitto/mosquitto#1144'],
  TOPIC_ALIAS: ['dotnet/MQTTnet#2037', 'hivemq/hivemq-mqtt-client#631'],
  MISPLACED_PROPERTY: ['moscajs/aedes#1098', 'nanomq/NanoNNG#1624'],
  RECEIVE_MAXIMUM_EXCEEDED: ['mochi-mqtt/server#340'],
  UNKNOWN_REASON_CODE: ['emqx/emqx#6981'],
  ACKNOWLEDGED_AT_OTHER_QOS: [
    'rabbitmq/rabbitmq-mqtt#155',
    'rabbitmq/rabbitmq-server#10373',
    'apache/shenyu#6743',
  ],
}

const INTRO =
  'Servers send what the standard forbids. The option `tolerance` says what is done about it. With' +
  ' `field`, the default, the rule is: if the meaning is clear and nothing of ours is at risk, the' +
  ' connection goes on. If going on would be a guess (a length that does not fit, the packet' +
  ' identifier 0, an unknown packet type, an alias that was never given a topic, a code that' +
  ' contradicts itself), it is closed. With `strict` each deviation closes the connection, in MQTT 5' +
  ' with the reason code of the table; a dash stands for what the standard does not close for.'

const TOLD =
  'The warning `SERVER_DEVIATION` reports a deviation once for each kind and connection: what came,' +
  ' from which server, the clause, and what is done. `loop.state.counters.deviations` counts all of' +
  ' them by kind.'

const MADE =
  'This page is made from the table in `src/protocol/deviations.ts` by `npm run docs`. For each input' +
  ' of `test/data/conformance/malformed.jsonl` the answer with `field` is in `malformed-field.jsonl`' +
  ' beside it, and `test/conformance` holds both. The situations of the reports are tests in' +
  ' `test/promises/tolerance.test.ts`.'

const kinds = Object.keys(DEVIATIONS) as DeviationKind[]

export function tolerancePage(): string {
  const living = kinds.filter((kind) => DEVIATIONS[kind].field === 'go on')
  const closing = kinds.filter((kind) => DEVIATIONS[kind].field === 'close')
  return `${[
    '# Tolerance',
    wrapped(INTRO),
    wrapped(TOLD),
    wrapped(MADE),
    '## The connection goes on',
    table(
      ['kind', 'clause', 'strict', 'what is done', 'seen from'],
      living.map((kind) => [...head(kind), DEVIATIONS[kind].answer, seenFrom(kind)]),
    ),
    '## The connection is closed',
    table(
      ['kind', 'clause', 'reason code', 'why'],
      closing.map((kind) => [...head(kind), DEVIATIONS[kind].answer]),
    ),
  ].join('\n\n')}\n`
}

function head(kind: DeviationKind): readonly string[] {
  const { clause, reasonCode } = DEVIATIONS[kind]
  return [`\`${kind}\``, clause, reasonCode === 0 ? '-' : `0x${reasonCode.toString(16)}`]
}

function seenFrom(kind: DeviationKind): string {
  const links = (REPORTS[kind] ?? []).map((report) => {
    const [repository, number] = report.split('#')
    return `[${report}](https://github.com/${repository}/issues/${number})`
  })
  return [...DEVIATIONS[kind].seen, ...links].join(', ')
}

function table(names: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(names), line(names.map(() => '---')), ...rows.map(line)].join('\n')
}
