/** A chart with axes, drawn by uPlot. */
import { useEffect, useRef } from 'preact/hooks'
import UPlot from 'uplot'
import { timeText } from './format.ts'
import type { Point } from './topics.ts'

const HEIGHT = 150

interface Props {
  readonly points: readonly Point[]
  readonly label: string
}

function colour(name: string): string {
  const probe = document.createElement('i')
  probe.style.color = `var(${name})`
  document.body.append(probe)
  // Canvas does not know `light-dark()`; the computed colour is a plain one.
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}

export function ValueChart({ points, label }: Props) {
  const place = useRef<HTMLDivElement>(null)
  const chart = useRef<UPlot | null>(null)

  useEffect(() => {
    const axis = {
      stroke: () => colour('--soft'),
      grid: { stroke: () => colour('--line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui',
    }
    const made = new UPlot(
      {
        width: place.current!.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { points: { size: 6 }, y: false },
        scales: { x: { time: true } },
        axes: [
          {
            ...axis,
            size: 26,
            space: 80,
            values: (_, ticks) => ticks.map((tick) => timeText(tick * 1000)),
          },
          { ...axis, size: 44, space: 32 },
        ],
        series: [
          {},
          {
            label,
            stroke: () => colour('--accent'),
            fill: () => colour('--wash'),
            width: 1.5,
            points: { show: false },
          },
        ],
      },
      [[], []],
      place.current!,
    )
    chart.current = made
    const sizes = new ResizeObserver(([entry]) => {
      made.setSize({ width: Math.floor(entry!.contentRect.width), height: HEIGHT })
    })
    sizes.observe(place.current!)
    return () => {
      sizes.disconnect()
      made.destroy()
    }
  }, [label])

  useEffect(() => {
    chart.current?.setData([points.map(({ at }) => at / 1000), points.map(({ value }) => value)])
  })

  return (
    <figure>
      <figcaption>{label}</figcaption>
      <div ref={place} class="chart" />
    </figure>
  )
}
