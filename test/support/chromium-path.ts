/** Where is the Chromium of this machine? */
import { existsSync } from 'node:fs'

const PLACES = [
  ...[process.env['IT_MQTT_CHROMIUM'] ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser'],
  ...['/usr/bin/google-chrome', '/usr/bin/google-chrome-stable'],
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

/** The path of the program, or undefined if there is none. */
export const CHROMIUM = PLACES.find((path) => path !== '' && existsSync(path))
