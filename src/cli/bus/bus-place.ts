/** Which listener of which bus does a command mean, and how does it come to the server? */
import type { ListenerPlace } from '../../bus/index.ts'
import { UsageError, type Warning } from '../../index.ts'
import { reportFailure, say } from '../fail.ts'
import { type ConnectionFlags, connectionOptions } from '../flags.ts'
import { Interrupt } from '../interrupt.ts'
import { isClosedPipe } from '../output.ts'

export interface BusPlaceFlags extends ConnectionFlags {
  readonly prefix?: string
}

/** What the session of a listener decides by itself. */
export const NOT_FOR_LISTENERS = [
  ...['--client-id', '--client-id-prefix', '--session', '--disable-clean-session'],
  ...['--session-expiry', '--property', '-L'],
  ...['--will-topic', '--will-payload', '--will-qos', '--will-retain'],
]

/** @throws UsageError for a name that is not `service.listener`. */
export function placeFrom(name: string, flags: BusPlaceFlags, signal: AbortSignal): ListenerPlace {
  const [service, listener, ...rest] = name.split('.')
  if (!service || !listener || rest.length > 0) {
    throw new UsageError(
      `<listener> is the names of the service and the listener with a dot between them, such as ` +
        `mail.welcome, not "${name}"`,
    )
  }
  const onWarning = ({ code, message }: Warning) => {
    // A letter that was put back once comes under the same name again.
    if (code !== 'ADOPTED_IN_FLIGHT') say(message)
  }
  const client = { ...connectionOptions(flags, null), onWarning }
  return { client, service, listener, prefix: flags.prefix, signal }
}

/** Does something until it is done or a signal ends it. @returns the exit status. */
export async function duringSignal(
  what: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const ending = new AbortController()
  const interrupt = new Interrupt(() => ending.abort(new Error('it was ended')))
  try {
    return await what(ending.signal)
  } catch (error) {
    if (interrupt.caught) return interrupt.status
    return isClosedPipe(error) ? 0 : reportFailure(error)
  } finally {
    interrupt.close()
  }
}
