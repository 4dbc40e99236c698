import { describe, expect, test } from 'vitest'
import { checkFlags } from '../../src/cli/check-flags.ts'
import { asSentence, duration, inFlags, inWords } from '../../src/cli/words.ts'
import { publish, subscribe, unsubscribe } from '../../src/index.ts'

const TEXTS: readonly [raw: string, words: string][] = [
  [
    'No connection to mqtt://h: connect ECONNREFUSED ::1:1883; connect ECONNREFUSED 127.0.0.1:1883.',
    'No connection to mqtt://h: connection refused (ECONNREFUSED ::1:1883); connection refused ' +
      '(ECONNREFUSED 127.0.0.1:1883).',
  ],
  ['getaddrinfo ENOTFOUND no.host.', 'host not found (ENOTFOUND no.host).'],
  [
    'connect ETIMEDOUT 10.0.0.1:1883 - Local (10.0.0.2:4711).',
    'no answer in time (ETIMEDOUT 10.0.0.1:1883).',
  ],
  ['lost: read ECONNRESET.', 'lost: connection reset by the other side (ECONNRESET).'],
  ['connect EUNKNOWNCODE 1.2.3.4:1', 'connect EUNKNOWNCODE 1.2.3.4:1'],
  ['kept: ENOSPC: no space left on device, write', 'kept: no space left on device (ENOSPC)'],
  ["ENOENT: no such file or directory, open '/x'", "ENOENT: no such file or directory, open '/x'"],
  [
    'The certificate of mqtts://h was refused: unable to verify the first certificate.',
    'The certificate of mqtts://h was refused: its issuer is not trusted here; give the ' +
      'certificate of the authority with --cafile.',
  ],
  ['refused: self-signed certificate.', expect.stringContaining('it is self-signed') as never],
  ['refused: certificate has expired.', 'refused: it has expired.'],
  [
    "refused: Hostname/IP does not match certificate's altnames: Host: h. is not in the cert's " +
      'altnames: DNS:a.',
    "refused: it is for other hosts: Host: h. is not in the cert's altnames: DNS:a; connect to one " +
      'of them, or give --insecure to accept it',
  ],
  [
    'refused: self-signed certificate in certificate chain.',
    expect.stringContaining('--cafile') as never,
  ],
  ['tls.key is not the private key of tls.cert', '--key is not the private key of --cert'],
  ['(tls.minVersion, tls.maxVersion)', '(--tls-version)'],
]

describe('[CLI] P12, words', () => {
  test.each(TEXTS)('[CLI] P12: %s', (raw, words) => {
    expect(inWords(raw)).toEqual(words)
  })

  test.each([
    [
      'keepAlive must be a number from 0 to 65535, not 9',
      '-k must be a number from 0 to 65535, not 9',
    ],
    ['will.topic holds a wildcard', '--will-topic holds a wildcard'],
    ['will.properties.willDelayInterval must be', '-D will will-delay-interval must be'],
    ['localAddress must be an address, not "keepAlive"', '-A must be an address, not "keepAlive"'],
    ['password: MQTT 3 allows', '-P: MQTT 3 allows'],
    ['sessionExpiryInterval has no effect with protocolVersion 4', '-x has no effect with -V 4'],
    ['url must be a URL such as mqtt://localhost', '--url must be a URL such as mqtt://localhost'],
    ['publish has no field "clientId"', 'publish has no field "clientId"'],
  ])('[CLI] P12: %s names flags', (raw, words) => {
    expect(inFlags(raw)).toBe(words)
  })

  test.each([
    [publish('a/#', 'x'), 5, /^the topic holds a wildcard/],
    [publish('a', 'x', { properties: { responseTopic: '#' } }), 5, /^-D publish response-topic /],
    [subscribe('a/#/b'), 5, /^the topic filter has a #/],
    [subscribe('a', { rap: true }), 4, /^--retain-as-published needs MQTT 5; -V asks for/],
    [subscribe('a', { rh: 1 }), 4, /^--retain-handling needs MQTT 5/],
    [subscribe('$share/g/a', { nl: true }), 5, /^--no-local cannot/],
    [unsubscribe('#/a'), 5, /^the topic filter of -U has/],
    [
      subscribe('a', { properties: { subscriptionIdentifier: 0 } }),
      5,
      /^-D subscribe subscription-identifier must/,
    ],
  ] as const)(
    '[CLI] P12: %j in MQTT %i is refused with the names of flags',
    (request, version, words) => {
      expect(() => checkFlags(request, version)).toThrow(words)
    },
  )

  test('[CLI] P12: counts follow an error as a sentence of their own', () => {
    expect(asSentence('no space left on device (ENOSPC)')).toBe('no space left on device (ENOSPC).')
    expect(asSentence('It is over.')).toBe('It is over.')
  })

  test('[CLI] P12: lengths of time', () => {
    const lengths = [0, 420, 9_949, 9_960, 59_000, 185_000, 7_500_000].map(duration)
    expect(lengths).toEqual(['0.1 s', '0.4 s', '9.9 s', '10 s', '59 s', '3 min 5 s', '2 h 5 min'])
  })
})
