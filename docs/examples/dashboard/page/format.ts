/** How numbers and times are shown. */

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const counts = new Intl.NumberFormat('en')

export const timeText = (at: number): string => clock.format(at)
export const countText = (count: number): string => counts.format(count)

export function rateText(perSecond: number): string {
  if (perSecond < 0.05) return perSecond > 0 ? '<0.1' : '0'
  return perSecond < 10 ? perSecond.toFixed(1) : counts.format(Math.round(perSecond))
}

export function spanText(ms: number): string {
  if (ms < 950) return `${Math.max(0, Math.round(ms))} ms`
  const seconds = ms / 1000
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 120) return `${Math.round(seconds)} s`
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`
}

export function bytesText(bytes: number): string {
  return bytes < 10_000
    ? `${counts.format(bytes)} B`
    : `${counts.format(Math.round(bytes / 1000))} kB`
}
