/** The connection: what it is now, and what it was before. */
import type { Change, Connection } from './connection.ts'
import { countText, spanText, timeText } from './format.ts'
import { KINDS } from './kinds.ts'

/** How much of the past the strip shows, in ms. */
const STRIP_MS = 300_000
const SHOWN_MAX = 8

interface Props {
  readonly connection: Connection
  redraw(): void
}

export function ConnectionCard({ connection, redraw }: Props) {
  const { state, problem, changes, retryAt } = connection
  const { kind, endpoint, protocolVersion, keepAlive } = state.connection
  const { received, sent, reconnections, roundTripMs } = state.counters
  const again = Object.values(reconnections).reduce((sum, count) => sum + count, 0)
  const now = Date.now()
  const reconnect = () => {
    connection.reconnect()
    redraw()
  }
  return (
    <section class="card" aria-label="Connection">
      <div class="bar">
        <h2>Connection</h2>
        <span class={`pill ${KINDS[kind].tone}`}>{KINDS[kind].name}</span>
        <button type="button" onClick={reconnect} disabled={problem !== ''}>
          {kind === 'connected' ? 'Reconnect' : 'Try now'}
        </button>
      </div>
      <Strip changes={changes} since={connection.since} now={now} />
      {problem !== '' && <p class="problem">{problem}</p>}
      {retryAt !== null && problem === '' && (
        <p class="retry">Next attempt in {spanText(retryAt - now)}</p>
      )}
      <dl>
        <dt>Server</dt>
        <dd>{endpoint}</dd>
        <dt>Version</dt>
        <dd>
          MQTT {{ 5: '5.0', 4: '3.1.1', 3: '3.1' }[protocolVersion]}, Keep Alive {keepAlive} s
        </dd>
        <dt>Client</dt>
        <dd>{state.clientId}</dd>
        <dt>Messages</dt>
        <dd>
          {countText(received)} received, {countText(sent)} sent
        </dd>
        <dt>Reconnections</dt>
        <dd>
          {countText(again)}
          {roundTripMs !== null && `, round trip ${spanText(roundTripMs)}`}
        </dd>
      </dl>
      <ol class="log changes" aria-label="Changes of the connection">
        {changes.slice(0, SHOWN_MAX).map((change) => (
          <li key={`${change.at} ${change.to}`} data-to={change.to}>
            <time>{timeText(change.at)}</time>{' '}
            <b class={`outcome ${KINDS[change.to].tone}`}>{KINDS[change.to].name}</b>
            {change.sessionPresent === true && ', session kept'}
            {change.to !== 'connecting' && change.reason !== null && (
              <small title={change.reason.message}> {whyOf(change)}</small>
            )}
          </li>
        ))}
      </ol>
    </section>
  )
}

function whyOf({ reason }: Change): string {
  return `${reason!.code}: ${reason!.message}`
}

/** The last five minutes as a strip of colours. */
function Strip({
  changes,
  since,
  now,
}: {
  changes: readonly Change[]
  since: number
  now: number
}) {
  const from = Math.max(now - STRIP_MS, since)
  const share = (at: number) => ((Math.max(from, at) - from) / Math.max(1, now - from)) * 100
  let until = now
  const parts = changes.flatMap(({ at, to }) => {
    const part = { to, left: share(at), width: share(until) - share(at) }
    until = at
    return part.width > 0 ? [part] : []
  })
  return (
    <div class="strip" title={`The last ${spanText(now - from)}`}>
      {parts.map(({ to, left, width }) => (
        <i
          key={`${left} ${to}`}
          class={KINDS[to].tone}
          style={{ left: `${left}%`, width: `${width}%` }}
        />
      ))}
    </div>
  )
}
