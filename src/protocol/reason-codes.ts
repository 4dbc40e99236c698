/**
 * What does a reason code mean, and may a later attempt succeed? (N2, every failure is classified)
 *
 * `codec/allowed-reasons.ts` lists which codes a server may send in which packet.
 */

interface Reason {
  readonly code: string
  /** Whether a later attempt may succeed without a change by the user. */
  readonly retryable: boolean
  readonly description: string
}

/** @returns a reason code as the standard writes it: 0x87. */
export function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0').toUpperCase()}`
}

/** The reason codes of CONNACK and DISCONNECT in MQTT 5. */
const REASONS = {
  128: { code: 'UNSPECIFIED_ERROR', retryable: true, description: 'unspecified error' },
  129: { code: 'MALFORMED_PACKET', retryable: true, description: 'malformed packet' },
  130: { code: 'PROTOCOL_ERROR', retryable: true, description: 'protocol error' },
  131: {
    code: 'IMPLEMENTATION_ERROR',
    retryable: true,
    description: 'implementation specific error',
  },
  132: {
    code: 'UNSUPPORTED_VERSION',
    retryable: false,
    description: 'unsupported protocol version',
  },
  133: { code: 'CLIENT_ID_REFUSED', retryable: false, description: 'client identifier not valid' },
  134: { code: 'BAD_CREDENTIALS', retryable: false, description: 'bad user name or password' },
  135: { code: 'NOT_AUTHORIZED', retryable: false, description: 'not authorized' },
  136: { code: 'SERVER_UNAVAILABLE', retryable: true, description: 'server unavailable' },
  137: { code: 'SERVER_BUSY', retryable: true, description: 'server busy' },
  138: { code: 'BANNED', retryable: false, description: 'banned' },
  139: { code: 'SERVER_SHUTTING_DOWN', retryable: true, description: 'server shutting down' },
  140: {
    code: 'BAD_AUTHENTICATION_METHOD',
    retryable: false,
    description: 'bad authentication method',
  },
  141: { code: 'KEEP_ALIVE_TIMEOUT', retryable: true, description: 'keep alive timeout' },
  142: {
    code: 'SESSION_TAKEN_OVER',
    retryable: false,
    description: 'session taken over by another client with the same client identifier',
  },
  143: { code: 'TOPIC_FILTER_INVALID', retryable: true, description: 'topic filter invalid' },
  144: { code: 'TOPIC_NAME_INVALID', retryable: true, description: 'topic name invalid' },
  147: {
    code: 'RECEIVE_MAXIMUM_EXCEEDED',
    retryable: true,
    description: 'receive maximum exceeded',
  },
  148: { code: 'TOPIC_ALIAS_INVALID', retryable: true, description: 'topic alias invalid' },
  149: { code: 'PACKET_TOO_LARGE', retryable: true, description: 'packet too large' },
  150: { code: 'MESSAGE_RATE_TOO_HIGH', retryable: true, description: 'message rate too high' },
  151: { code: 'QUOTA_EXCEEDED', retryable: true, description: 'quota exceeded' },
  152: { code: 'ADMINISTRATIVE_ACTION', retryable: true, description: 'administrative action' },
  153: { code: 'PAYLOAD_FORMAT_INVALID', retryable: true, description: 'payload format invalid' },
  154: { code: 'RETAIN_NOT_SUPPORTED', retryable: true, description: 'retain not supported' },
  155: { code: 'QOS_NOT_SUPPORTED', retryable: true, description: 'QoS not supported' },
  156: { code: 'USE_ANOTHER_SERVER', retryable: true, description: 'use another server' },
  157: { code: 'SERVER_MOVED', retryable: false, description: 'server moved' },
  158: {
    code: 'SHARED_SUBSCRIPTIONS_NOT_SUPPORTED',
    retryable: true,
    description: 'shared subscriptions not supported',
  },
  159: {
    code: 'CONNECTION_RATE_EXCEEDED',
    retryable: true,
    description: 'connection rate exceeded',
  },
  160: { code: 'MAXIMUM_CONNECT_TIME', retryable: true, description: 'maximum connect time' },
  161: {
    code: 'SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED',
    retryable: true,
    description: 'subscription identifiers not supported',
  },
  162: {
    code: 'WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED',
    retryable: true,
    description: 'wildcard subscriptions not supported',
  },
} as const satisfies Record<number, Reason>

/** The return codes of CONNACK in MQTT 3. */
const RETURN_CODES = {
  1: REASONS[0x84],
  2: REASONS[0x85],
  3: REASONS[0x88],
  4: REASONS[0x86],
  5: REASONS[0x87],
} as const satisfies Record<number, Reason>

/** The standard does not define the code, so nobody knows whether it is for good. */
function undefinedCode(code: number): Reason {
  return { code: 'UNSPECIFIED_ERROR', retryable: true, description: `unknown code ${code}` }
}

export function reasonOf(reasonCode: number): Reason {
  const table: Readonly<Record<number, Reason>> = REASONS
  return table[reasonCode] ?? undefinedCode(reasonCode)
}

/** @returns the meaning of a CONNACK's return code in MQTT 3. */
export function returnCodeReason(returnCode: number): Reason {
  const table: Readonly<Record<number, Reason>> = RETURN_CODES
  return table[returnCode] ?? undefinedCode(returnCode)
}
