/**
 * The page. Its data change many times a second, so nothing is told of changes: the whole page is
 * drawn again four times a second while it can be seen, and after each action.
 */
import { render } from 'preact'
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { Connection } from './connection.ts'
import { ConnectionCard } from './connection-card.tsx'
import { countText, rateText } from './format.ts'
import { KINDS } from './kinds.ts'
import { PublishForm } from './publish-form.tsx'
import {
  loadSettings,
  loadTheme,
  type Settings,
  saveSettings,
  saveTheme,
  type Theme,
} from './settings.ts'
import { SettingsDialog } from './settings-dialog.tsx'
import './style.css'
import { TopicCard } from './topic-card.tsx'
import { TopicTree } from './topic-tree.tsx'

const REDRAW_MS = 250
const THEMES: readonly Theme[] = ['light dark', 'light', 'dark']
const THEME_NAMES: Readonly<Record<Theme, string>> = {
  'light dark': '◐ Auto',
  light: '☀ Light',
  dark: '☾ Dark',
}
/** Draws again and again; the returned function draws now. */
function useRedraw(): () => void {
  const [, setCount] = useState(0)
  const redraw = useCallback(() => setCount((count) => count + 1), [])
  useEffect(() => {
    const timer = setInterval(() => document.hidden || redraw(), REDRAW_MS)
    return () => clearInterval(timer)
  }, [redraw])
  return redraw
}

function App() {
  const [connection, setConnection] = useState<Connection | null>(null)
  const [problem, setProblem] = useState('')
  const [selected, setSelected] = useState('')
  const [isEditing, setEditing] = useState(false)
  const [theme, setTheme] = useState(loadTheme)
  const settings = useRef(loadSettings())
  const redraw = useRedraw()

  const connect = useCallback((wanted: Settings): boolean => {
    try {
      const next = new Connection(wanted)
      setConnection((before) => {
        void before?.close()
        return next
      })
      settings.current = wanted
      setProblem('')
      return true
    } catch (error) {
      setProblem((error as Error).message)
      setEditing(true)
      return false
    }
  }, [])

  useEffect(() => void connect(settings.current), [connect])
  useEffect(() => {
    document.documentElement.style.colorScheme = theme
  }, [theme])
  useEffect(() => {
    const listener = (event: KeyboardEvent) => focusByKey(event, () => setEditing(true))
    addEventListener('keydown', listener)
    return () => removeEventListener('keydown', listener)
  }, [])

  const nextTheme = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!
    saveTheme(next)
    setTheme(next)
  }
  const save = (wanted: Settings) => {
    if (!connect(wanted)) return
    saveSettings(wanted)
    setEditing(false)
  }

  return (
    <>
      <header>
        <h1>
          <Mark /> MQTT dashboard
        </h1>
        {connection && <Summary connection={connection} />}
        <button type="button" onClick={nextTheme} title="Light, dark, or as the system">
          {THEME_NAMES[theme]}
        </button>
        <button type="button" onClick={() => setEditing(true)} title="Settings (key: s)">
          Settings
        </button>
      </header>
      {connection && (
        <main>
          <TopicTree
            connection={connection}
            selected={selected}
            select={setSelected}
            redraw={redraw}
          />
          <div class="side">
            <TopicCard entry={connection.topics.entryOf(selected)} topic={selected} />
            <PublishForm connection={connection} selected={selected} redraw={redraw} />
            <ConnectionCard connection={connection} redraw={redraw} />
          </div>
        </main>
      )}
      {isEditing && (
        <SettingsDialog
          settings={settings.current}
          problem={problem}
          save={save}
          close={() => setEditing(false)}
        />
      )}
    </>
  )
}

function Summary({ connection }: { readonly connection: Connection }) {
  const { kind } = connection.state.connection
  const { name, tone } = KINDS[kind]
  const { root } = connection.topics
  return (
    <>
      <span class={`pill ${tone}`} role="status" data-kind={kind}>
        {name}
      </span>
      <span class="figures">
        <b>{rateText(root.rate.of(Date.now()))}</b> messages/s · <b>{countText(root.topics)}</b>{' '}
        topics
      </span>
    </>
  )
}

function Mark() {
  return (
    <svg viewBox="0 0 16 16" width="22" height="22" aria-hidden="true">
      <rect width="16" height="16" rx="4" fill="var(--accent)" />
      <path d="M3 10l3-4 3 3 4-5" stroke="white" stroke-width="1.6" fill="none" />
    </svg>
  )
}

function focusByKey(event: KeyboardEvent, openSettings: () => void): void {
  const { key, target, ctrlKey, metaKey, altKey } = event
  const isTyping = target instanceof Element && target.matches('input, textarea, select, dialog *')
  if (isTyping || ctrlKey || metaKey || altKey) return
  if (key === 's') openSettings()
  else if (key === '/') document.querySelector<HTMLElement>('#search')?.focus()
  else if (key === 'p') document.querySelector<HTMLElement>('#payload')?.focus()
  else return
  event.preventDefault()
}

render(<App />, document.body)
