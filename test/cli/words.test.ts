import { describe, expect, test } from 'vitest'
import { asSentence, duration, inWords } from '../../src/cli/words.ts'

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
  ['tls.key is not the private key of tls.cert', '--key is not the private key of --cert'],
  ['(tls.minVersion, tls.maxVersion)', '(--tls-version)'],
]

describe('[CLI] P12, words', () => {
  test.each(TEXTS)('[CLI] P12: %s', (raw, words) => {
    expect(inWords(raw)).toEqual(words)
  })

  test('[CLI] P12: counts follow an error as a sentence of their own', () => {
    expect(asSentence('no space left on device (ENOSPC)')).toBe('no space left on device (ENOSPC).')
    expect(asSentence('It is over.')).toBe('It is over.')
  })

  test('[CLI] P12: lengths of time', () => {
    const lengths = [0, 420, 9_949, 9_960, 59_000, 185_000, 7_500_000].map(duration)
    expect(lengths).toEqual(['0.1 s', '0.4 s', '9.9 s', '10 s', '59 s', '3 min 5 s', '2 h 5 min'])
  })
})
