/** What to connect to, and what to subscribe to. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Settings } from './settings.ts'

interface Props {
  readonly settings: Settings
  readonly problem: string
  save(settings: Settings): void
  close(): void
}

export function SettingsDialog({ settings, problem, save, close }: Props) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])

  // The page is drawn again while somebody types.
  const [draft, setDraft] = useState(settings)
  const keep = ({ target }: Event) => {
    const { name, value } = target as HTMLInputElement | HTMLSelectElement
    const isNumber = name === 'qos' || name === 'protocolVersion'
    setDraft({ ...draft, [name]: isNumber ? Number(value) : value })
  }
  const submit = (event: Event) => {
    event.preventDefault()
    save({ ...draft, url: draft.url.trim(), filter: draft.filter.trim() || '#' })
  }

  return (
    <dialog ref={dialog} onClose={close} aria-label="Settings">
      <form onSubmit={submit} onInput={keep}>
        <h2>Settings</h2>
        <label>
          URL of the WebSocket listener
          <input name="url" type="url" required value={draft.url} placeholder="wss://host/mqtt" />
        </label>
        <label>
          Topic filters
          <input name="filter" spellcheck={false} value={draft.filter} placeholder="#" />
        </label>
        <div class="bar">
          <label class="inline">
            QoS
            <select name="qos" value={draft.qos}>
              <option>0</option>
              <option>1</option>
              <option>2</option>
            </select>
          </label>
          <label class="inline">
            Version
            <select name="protocolVersion" value={draft.protocolVersion}>
              <option value="0">newest</option>
              <option value="5">MQTT 5.0</option>
              <option value="4">MQTT 3.1.1</option>
            </select>
          </label>
        </div>
        <div class="pair">
          <label>
            User name
            <input name="username" autocomplete="username" value={draft.username} />
          </label>
          <label>
            Password
            <input
              name="password"
              type="password"
              autocomplete="current-password"
              value={draft.password}
            />
          </label>
        </div>
        {problem !== '' && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <div class="bar end">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="main">
            Connect
          </button>
        </div>
      </form>
    </dialog>
  )
}
