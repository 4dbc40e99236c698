/**
 * Can the request that the flags ask for be sent? What is wrong is said with the names of the
 * flags, because whoever wrote them has seen no request.
 */
import { checkRequest, type Request, UsageError } from '../index.ts'
import { kebab } from './words.ts'

type Names = Readonly<Record<string, string>>

const FIELD_FLAGS: Names = {
  'publish.topic': 'the topic',
  'publish.payload': 'the message',
  topic: 'the topic filter',
  qos: '-q',
  nl: '--no-local',
  rap: '--retain-as-published',
  rh: '--retain-handling',
}

/**
 * @param names the names of this command for fields such as `publish.properties.responseTopic`.
 * @throws UsageError that names flags.
 */
export function checkFlags(request: Request, version: 3 | 4 | 5, names: Names = {}): void {
  try {
    checkRequest(request, version)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    throw new UsageError(withFlags(error.message, { ...FIELD_FLAGS, ...names }), { cause: error })
  }
}

function withFlags(text: string, names: Names): string {
  return text
    .replace(/^subscribe\.subscriptions\[\d+\]\.(\w+)/, (raw, field) => names[field] ?? raw)
    .replace(/^unsubscribe\.unsubscriptions\[\d+\]/, 'the topic filter of -U')
    .replace(/^(\w+)\.properties\.(\w+)/, (raw, packet, name: string) => {
      return names[raw] ?? `-D ${packet} ${kebab(name)}`
    })
    .replace(/^publish\.\w+/, (raw) => names[raw] ?? raw)
    .replace('this connection uses MQTT', '-V asks for MQTT')
}
