/** Publishes what the person writes, and says what became of it. */
import { useEffect, useState } from 'preact/hooks'
import type { Connection } from './connection.ts'
import { spanText, timeText } from './format.ts'

interface Props {
  readonly connection: Connection
  readonly selected: string
  redraw(): void
}

const QOS = [0, 1, 2] as const

export function PublishForm({ connection, selected, redraw }: Props) {
  const [topic, setTopic] = useState('plant/line-1/setpoint/set')
  const [payload, setPayload] = useState('75')
  const [qos, setQos] = useState<0 | 1 | 2>(1)
  const [retain, setRetain] = useState(false)

  useEffect(() => {
    if (selected !== '') setTopic(selected)
  }, [selected])

  const send = (event: Event) => {
    event.preventDefault()
    void connection.publish(topic, payload, { qos, retain }).then(redraw)
    redraw()
  }
  const sendByKey = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) send(event)
  }

  return (
    <section class="card" aria-label="Publish">
      <h2>Publish</h2>
      <form onSubmit={send}>
        <label>
          Topic
          <input
            name="topic"
            required
            spellcheck={false}
            value={topic}
            onInput={({ currentTarget }) => setTopic(currentTarget.value)}
          />
        </label>
        <label>
          Payload
          <textarea
            id="payload"
            name="payload"
            rows={2}
            spellcheck={false}
            value={payload}
            onInput={({ currentTarget }) => setPayload(currentTarget.value)}
            onKeyDown={sendByKey}
          />
        </label>
        <div class="bar">
          <label class="inline">
            QoS
            <select
              name="qos"
              value={qos}
              onChange={({ currentTarget }) => setQos(Number(currentTarget.value) as 0 | 1 | 2)}
            >
              {QOS.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </label>
          <label class="inline">
            <input
              type="checkbox"
              name="retain"
              checked={retain}
              onChange={({ currentTarget }) => setRetain(currentTarget.checked)}
            />
            Retain
          </label>
          <button type="submit" class="main" title="Ctrl+Enter in the payload">
            Publish
          </button>
        </div>
      </form>
      {connection.sent.length > 0 && (
        <ol class="log sent">
          {connection.sent.map((sent) => (
            <li key={sent.at} data-status={sent.status}>
              <time>{timeText(sent.at)}</time> {sent.topic}{' '}
              <span class={`outcome ${sent.status}`}>{outcomeText(sent)}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  )
}

function outcomeText({ status, ms, problem, at }: Connection['sent'][number]): string {
  if (status === 'ok') return `✓ ${spanText(ms)}`
  return status === 'failed' ? `✗ ${problem}` : `… ${spanText(Date.now() - at)}`
}
