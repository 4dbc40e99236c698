/**
 * Who is on call? Each engineer's program enters the space of its team, and every screen of the
 * team shows who is there. Whoever loses the connection is shown as lost, and comes back by itself.
 */
import { type ClientOptions, createClient } from 'it-mqtt/client'
import { presence, withPresence } from 'it-mqtt/presence'

/** Is on call for a team until the signal is aborted. */
export async function onCall(
  options: ClientOptions,
  team: string,
  phone: string,
  signal: AbortSignal,
) {
  await using client = createClient(withPresence(options))
  await using room = presence(client, `on-call/${team}`)
  await room.enter({ phone })
  await client.run({ signal })
}

/** Gives a screen each new list of who is on call, until the signal is aborted. */
export async function board(
  options: ClientOptions,
  team: string,
  show: (lines: readonly string[]) => void,
  signal: AbortSignal,
) {
  await using client = createClient(options)
  const room = presence(client, `on-call/${team}`)
  signal.addEventListener('abort', () => void room.close())
  const there = new Map<string, string>()
  for await (const { action, member } of room.changes()) {
    const { phone } = member.data as { phone: string }
    const who = `${member.client}/${member.connection}`
    if (action === 'leave') there.delete(who)
    else there.set(who, `${member.client} ${action === 'lost' ? 'is lost' : phone}`)
    show([...there.values()].sort())
  }
}
