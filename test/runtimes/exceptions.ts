/**
 * Which tests fail in a runtime, and why is that no defect? A run fails if another test fails, and
 * if one of these passes: then it is taken out of the list.
 */
import type { RuntimeName } from '../support/runtimes.ts'

export interface Exception {
  /** The file, and the whole title of the test or how it begins. */
  readonly file: string
  readonly title: string
  readonly reason: string
  /** Whether it passes in some runs: then a run in which it passes is as good. */
  readonly mayPass?: boolean
}

const BORING_SSL = 'Bun has BoringSSL, which'
const TLS = 'test/options/tls.test.ts'
const CANNOT_WORK = '[N2] [T6] TLS settings that cannot work:'
const FIRST_CONTACT = 'test/connection/transport/first-contact.test.ts'
const WRONG_PORT = 'a wrong port or scheme is named'

const LATER = 'Deno validates these settings at the handshake, and not when they are given.'

export const EXCEPTIONS: Readonly<Record<RuntimeName, readonly Exception[]>> = {
  'node-22': [],
  'node-24': [],
  bun: [
    ...['a wrong passphrase of PKCS#12', 'no passphrase of PKCS#12'].map((kind) => ({
      file: TLS,
      title: `${CANNOT_WORK} ${kind}`,
      reason: `${BORING_SSL} does not tell a wrong passphrase from a damaged file.`,
    })),
    {
      file: 'test/options/foreign-names.test.ts',
      title:
        'a name that is no option [T1] of tls, where the name says something else than `url` or ' +
        'nothing: caFile',
      reason: 'The name `caFile` is an option of TLS in Bun, which reads the file.',
    },
    {
      file: 'test/disk/file-requests.test.ts',
      title: 'fileRequests a FIFO is read once, and the wait for its writer can be ended',
      reason: 'It does not end in time. The cause is not known.',
      mayPass: true,
    },
    {
      file: FIRST_CONTACT,
      title: `${WRONG_PORT} [N2] a TLS alert in plain words: the server wants a certificate`,
      reason: `${BORING_SSL} does not say so in its error.`,
    },
    {
      file: FIRST_CONTACT,
      title: `${WRONG_PORT} [N2] [T6] TLS settings that only a handshake shows`,
      reason: `${BORING_SSL} reports another error, which is taken for one of the connection.`,
    },
    {
      file: FIRST_CONTACT,
      title: '[MQTT-6.0.0-3] the WebSocket sub-protocol [T1] a server that selects none',
      reason: 'Bun replaces the package ws by its own, which refuses such a server.',
    },
    {
      file: 'test/client/requests/reread.test.ts',
      title: '[Q9] a stream keeps no part that was consumed',
      reason: 'The test collects garbage by a flag of V8.',
    },
  ],
  deno: [
    ...[
      ...[
        'the wrong passphrase of one key',
        'a URL as name',
        'a wrong passphrase',
        'no passphrase',
      ],
      ...['a key that is damaged', 'an unknown curve', 'unknown signatures'],
    ].flatMap((kind) =>
      [' at the door', ' from connectOptions'].map((place) => ({
        file: TLS,
        title: `${CANNOT_WORK} ${kind}${place}`,
        reason: LATER,
      })),
    ),
    {
      file: TLS,
      title: '[N2] any wrong passphrase is known for one',
      reason: LATER,
    },
    {
      file: FIRST_CONTACT,
      title: `${WRONG_PORT} [N2] [T6] TLS settings that only a handshake shows`,
      reason: 'Deno reports another error, which is taken for one of the connection.',
    },
    {
      file: FIRST_CONTACT,
      title: `${WRONG_PORT} [N2] a TLS alert in plain words: the server wants a certificate`,
      reason: 'Deno does not say so in its error.',
    },
    {
      file: FIRST_CONTACT,
      title: `${WRONG_PORT} [T2] TLS at ws:`,
      reason: 'The message does not mention TLS. The cause is not known.',
      mayPass: true,
    },
    {
      file: FIRST_CONTACT,
      title: '[T2] connectTimeout names the server and the stage the TLS handshake',
      reason: 'The message names another stage. The cause is not known.',
      mayPass: true,
    },
    {
      file: FIRST_CONTACT,
      title: '[T1] the name that is asked for in TLS 127.0.0.1',
      reason: 'A server of Deno says null where one of Node says false: no name was asked for.',
    },
    {
      file: 'test/disk/file-requests.test.ts',
      title: 'fileRequests a FIFO is read once, and the wait for its writer can be ended',
      reason: 'The FIFO cannot be opened: EEXIST. The cause is not known.',
      mayPass: true,
    },
    {
      file: 'test/promises/ending.test.ts',
      title: '[N4] Node exits by itself after every kind of end',
      reason:
        'The test starts a program with flags of Node; the row *exits by itself* has them all.',
    },
  ],
}
