/** One topic: its values over time, the last payload, and those before it. */
import { bytesText, countText, rateText, spanText, timeText } from './format.ts'
import type { Entry } from './topics.ts'
import { ValueChart } from './value-chart.tsx'

interface Props {
  readonly entry: Entry | null
  readonly topic: string
}

export function TopicCard({ entry, topic }: Props) {
  if (entry === null) {
    return (
      <section class="card" aria-label="Topic">
        <h2 class={topic === '' ? '' : 'path'}>{topic || 'Topic'}</h2>
        <p class="empty">
          {topic === ''
            ? 'Choose a topic: click on it, or use the arrow keys.'
            : 'Only topics below it have messages.'}
        </p>
      </section>
    )
  }
  const now = Date.now()
  const { field, kind, text, qos, retain, count, bytes, lastAt, rate, points, recent } = entry
  return (
    <section class="card" aria-label="Topic">
      <h2 class="path">{topic}</h2>
      <p class="figures">
        <b>{countText(count)}</b> messages · <b>{rateText(rate.of(now))}</b>/s · QoS {qos} ·{' '}
        {bytesText(bytes)}
        {retain && ' · retained'} · {spanText(now - lastAt)} ago
      </p>
      {points.length > 1 && <ValueChart key={topic} points={points} label={field || 'value'} />}
      <pre>{kind === 'json' ? JSON.stringify(JSON.parse(text), null, 2) : text || '(empty)'}</pre>
      {recent.length > 1 && (
        <details>
          <summary>Before that</summary>
          <ol class="log">
            {recent.slice(1).map((each) => (
              <li key={`${each.at} ${each.text}`}>
                <time>{timeText(each.at)}</time> {each.text.slice(0, 200)}
              </li>
            ))}
          </ol>
        </details>
      )}
    </section>
  )
}
