/** The last values of a topic, without axes. */
import type { Point } from './topics.ts'

const WIDTH = 96
const HEIGHT = 20
const POINTS_MAX = 40

export function Sparkline({ points }: { readonly points: readonly Point[] }) {
  const last = points.slice(-POINTS_MAX)
  if (last.length < 2) return null
  const values = last.map(({ value }) => value)
  const [min, max] = [Math.min(...values), Math.max(...values)]
  const x = (index: number) => (index / (last.length - 1)) * (WIDTH - 4) + 1
  const y = (value: number) =>
    max === min ? HEIGHT / 2 : HEIGHT - 3 - ((value - min) / (max - min)) * (HEIGHT - 6)
  const line = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' ')
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <polygon points={`1,${HEIGHT} ${line} ${x(last.length - 1)},${HEIGHT}`} />
      <polyline points={line} />
      <circle cx={x(last.length - 1)} cy={y(values.at(-1)!)} r="1.8" />
    </svg>
  )
}
