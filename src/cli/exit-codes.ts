/**
 * Which exit status says what? This table is the only place where the numbers stand: `it-mqtt help
 * exit-codes`, docs/CLI.md and the man page print it.
 *
 * 3, 4 and 5 are the return codes of MQTT 3.1.1, which mosquitto_pub and mosquitto_sub end with;
 * the reason codes of MQTT 5 are translated to them, because from 128 on a shell reports signals.
 */
import { MqttError, UsageError } from '../index.ts'

interface ExitCode {
  readonly status: number
  readonly when: string
  /** What the mosquitto clients end with in that case. */
  readonly theirs: string
}

export const FAILED = 1
export const MISUSED = 2
/** The time that `-W` gives has passed. */
export const TIMED_OUT = 27

export const EXIT_CODES: readonly ExitCode[] = [
  { status: 0, when: 'everything that was asked for was done', theirs: '0' },
  {
    status: FAILED,
    when:
      'a message was not delivered, expired, was dropped by a full spool or lost to damage of ' +
      'one, a message or a subscription was refused, all lines of a file were skipped, there was ' +
      'no connection, or another error occurred',
    theirs: '1; 0 if the server refused a message, or some of several subscriptions',
  },
  {
    status: MISUSED,
    when:
      'the command line, the configuration file or a file that they name cannot be used, or the ' +
      'server refused the client identifier; nothing was sent',
    theirs: '1; 2 for the client identifier',
  },
  {
    status: 3,
    when: 'the server answered that it is not available, busy or shutting down',
    theirs: '3; with MQTT 5, 136 to 139',
  },
  {
    status: 4,
    when:
      'the server refused the user name or the password; many servers, mosquitto among them, ' +
      'answer with 5 instead',
    theirs: '4; with MQTT 5, 134',
  },
  {
    status: 5,
    when:
      'the server answered that this client is not authorized, or is banned; with many servers ' +
      'also: that the user name or the password is wrong',
    theirs: '5; with MQTT 5, 135 or 138',
  },
  { status: TIMED_OUT, when: 'the time that -W gives has passed', theirs: '27' },
  {
    status: 130,
    when: 'Ctrl-C ended it; 128 + the number of the signal for every signal (143 for SIGTERM)',
    theirs: '0 if it was connected',
  },
]

/** The statuses of refusals that are not 1, by the code of the error. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  CLIENT_ID_REFUSED: MISUSED,
  SERVER_UNAVAILABLE: 3,
  SERVER_BUSY: 3,
  SERVER_SHUTTING_DOWN: 3,
  BAD_CREDENTIALS: 4,
  NOT_AUTHORIZED: 5,
  BANNED: 5,
}

/** @returns the exit status for an error that ended a command. */
export function statusOf(error: unknown): number {
  if (error instanceof UsageError) return MISUSED
  return error instanceof MqttError ? statusOfCode(error.code) : FAILED
}

/** @returns the exit status for the code of a failure. */
export function statusOfCode(code: string): number {
  return STATUS_OF_CODE[code] ?? FAILED
}

/** @returns the table as text for a terminal. */
export function exitCodesText(): string {
  return EXIT_CODES.map(({ status, when }) => `${String(status).padStart(5)}  ${when}\n`).join('')
}
