/**
 * How is a time written for `-F`? The letters of strftime(3) in the C locale, which is the one of
 * mosquitto_sub, in the time zone of the machine.
 */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September'],
  ...['October', 'November', 'December'],
]
const MS_OF_DAY = 86_400_000

const two = (value: number) => String(value).padStart(2, '0')
const twoBlank = (value: number) => String(value).padStart(2)
const hour12 = (at: Date) => at.getHours() % 12 || 12
const all = (letters: string, between: string, at: Date) =>
  [...letters].map((letter) => strftime(letter, at)).join(between)

const LETTERS_OF_TIME: Readonly<Record<string, (at: Date) => string>> = {
  a: (at) => DAYS[at.getDay()]!.slice(0, 3),
  A: (at) => DAYS[at.getDay()]!,
  b: (at) => MONTHS[at.getMonth()]!.slice(0, 3),
  B: (at) => MONTHS[at.getMonth()]!,
  c: (at) => `${all('abeT', ' ', at)} ${at.getFullYear()}`,
  C: (at) => two(Math.floor(at.getFullYear() / 100)),
  d: (at) => two(at.getDate()),
  D: (at) => all('mdy', '/', at),
  e: (at) => twoBlank(at.getDate()),
  F: (at) => all('Ymd', '-', at),
  g: (at) => two(isoWeek(at).year % 100),
  G: (at) => String(isoWeek(at).year),
  h: (at) => strftime('b', at),
  H: (at) => two(at.getHours()),
  I: (at) => two(hour12(at)),
  j: (at) => String(dayOfYear(at) + 1).padStart(3, '0'),
  k: (at) => twoBlank(at.getHours()),
  l: (at) => twoBlank(hour12(at)),
  m: (at) => two(at.getMonth() + 1),
  M: (at) => two(at.getMinutes()),
  n: () => '\n',
  N: (at) => String(at.getMilliseconds() * 1_000_000).padStart(9, '0'),
  p: (at) => (at.getHours() < 12 ? 'AM' : 'PM'),
  P: (at) => (at.getHours() < 12 ? 'am' : 'pm'),
  r: (at) => `${all('IMS', ':', at)} ${strftime('p', at)}`,
  R: (at) => all('HM', ':', at),
  s: (at) => String(Math.floor(at.getTime() / 1000)),
  S: (at) => two(at.getSeconds()),
  t: () => '\t',
  T: (at) => all('HMS', ':', at),
  u: (at) => String(at.getDay() || 7),
  U: (at) => two(Math.floor((dayOfYear(at) + 7 - at.getDay()) / 7)),
  V: (at) => two(isoWeek(at).week),
  w: (at) => String(at.getDay()),
  W: (at) => two(Math.floor((dayOfYear(at) + 7 - ((at.getDay() + 6) % 7)) / 7)),
  x: (at) => strftime('D', at),
  X: (at) => strftime('T', at),
  y: (at) => two(at.getFullYear() % 100),
  Y: (at) => String(at.getFullYear()),
  z: zone,
  Z: zoneName,
  '%': () => '%',
}

/** @returns what a letter stands for; one that strftime does not have, with a % before it. */
export function strftime(letter: string, at: Date): string {
  return LETTERS_OF_TIME[letter]?.(at) ?? `%${letter}`
}

/** @returns the time as 2016-08-10T09:47:38+0100. */
export function isoTime(at: Date): string {
  return `${strftime('F', at)}T${strftime('T', at)}${zone(at)}`
}

/** @returns the time as 2016-08-10T09:47:38.123000+0100. */
export function isoTimeMicros(at: Date): string {
  const micros = String(at.getMilliseconds() * 1000).padStart(6, '0')
  return `${strftime('F', at)}T${strftime('T', at)}.${micros}${zone(at)}`
}

/** @returns the time as 1470818943.786000000. */
export function unixTime(at: Date): string {
  return `${strftime('s', at)}.${strftime('N', at)}`
}

function zone(at: Date): string {
  const minutes = -at.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${two(size % 60)}`
}

function zoneName(at: Date): string {
  const parts = new Intl.DateTimeFormat('en', { timeZoneName: 'short' }).formatToParts(at)
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? ''
}

/** @returns the days since 1 January. */
function dayOfYear(at: Date): number {
  const day = Date.UTC(at.getFullYear(), at.getMonth(), at.getDate())
  return (day - Date.UTC(at.getFullYear(), 0, 1)) / MS_OF_DAY
}

/** @returns the week and its year by ISO 8601: a week belongs to the year of its Thursday. */
function isoWeek(at: Date): { readonly year: number; readonly week: number } {
  const thursday = new Date(at)
  thursday.setDate(at.getDate() + 4 - (at.getDay() || 7))
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 }
}
