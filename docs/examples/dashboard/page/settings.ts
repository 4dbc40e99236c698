/** What the person has chosen, kept in this browser without the password. */

export interface Settings {
  readonly url: string
  /** One or more, with spaces or commas between them. */
  readonly filter: string
  readonly qos: 0 | 1 | 2
  /** 0: the newest that the server has. */
  readonly protocolVersion: 0 | 4 | 5
  readonly username: string
  readonly password: string
}

const KEY = 'it-mqtt-dashboard'
const THEME_KEY = `${KEY}-theme`

/** The broker that serves the page, else a usual one. `?url=` and `?filter=` go before. */
export function loadSettings(): Settings {
  const { protocol, host } = location
  const own = `${protocol === 'https:' ? 'wss' : 'ws'}://${host}/mqtt`
  const defaults: Settings = {
    url: host === '' ? 'ws://localhost:8083/mqtt' : own,
    ...{ filter: '#', qos: 0, protocolVersion: 0, username: '', password: '' },
  }
  const asked = new URLSearchParams(location.search)
  const [url, filter] = [asked.get('url'), asked.get('filter')]
  return { ...defaults, ...stored(), ...(url && { url }), ...(filter && { filter }) }
}

function stored(): Partial<Settings> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}')
  } catch {
    // Nothing can be read, or what is there is not ours.
    return {}
  }
}

export function saveSettings({ password: _, ...settings }: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings))
  } catch {
    // A private window may not store anything; the settings live as long as the page.
  }
}

export type Theme = 'light dark' | 'light' | 'dark'

export function loadTheme(): Theme {
  try {
    return (localStorage.getItem(THEME_KEY) as Theme | null) ?? 'light dark'
  } catch {
    return 'light dark'
  }
}

export function saveTheme(theme: Theme): void {
  try {
    localStorage.setItem(THEME_KEY, theme)
  } catch {
    // As above.
  }
}
