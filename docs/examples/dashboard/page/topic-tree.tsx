/** All topics with their last values; a tree for the keyboard too. */
import { useRef, useState } from 'preact/hooks'
import type { Connection } from './connection.ts'
import { countText, rateText } from './format.ts'
import { Sparkline } from './sparkline.tsx'
import { type Level, type Row, rowsOf, TOPICS_MAX } from './topics.ts'

const ROWS_MAX = 500
/** How long a row shines after a message, in ms. */
const GLOW_MS = 1500

interface Props {
  readonly connection: Connection
  readonly selected: string
  select(path: string): void
  redraw(): void
}

export function TopicTree({ connection, selected, select, redraw }: Props) {
  const [wanted, setWanted] = useState('')
  const closed = useRef(new Set<string>())
  const tree = useRef<HTMLDivElement>(null)
  const { topics, dropped } = connection
  const all = rowsOf(topics.root, closed.current, wanted)
  const rows = all.slice(0, ROWS_MAX)
  const now = Date.now()
  const at = Math.max(
    0,
    rows.findIndex(({ level }) => level.path === selected),
  )

  const toggle = (level: Level, open: boolean) => {
    if (open) closed.current.delete(level.path)
    else closed.current.add(level.path)
    redraw()
  }
  const go = (to: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, to))]
    if (row === undefined) return
    select(row.level.path)
    requestAnimationFrame(() =>
      tree.current?.querySelector<HTMLElement>('[aria-selected=true]')?.focus(),
    )
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[at]
    if (row === undefined || !handle(event.key, row)) return
    event.preventDefault()
  }
  const handle = (key: string, { level, depth, isOpen }: Row): boolean => {
    const isBranch = level.children.size > 0
    if (key === 'ArrowDown') go(at + 1)
    else if (key === 'ArrowUp') go(at - 1)
    else if (key === 'Home') go(0)
    else if (key === 'End') go(rows.length - 1)
    else if (key === 'ArrowRight' && isBranch && !isOpen) toggle(level, true)
    else if (key === 'ArrowRight' && isBranch) go(at + 1)
    else if (key === 'ArrowLeft' && isBranch && isOpen) toggle(level, false)
    else if (key === 'ArrowLeft') go(rows.findLastIndex((row, i) => i < at && row.depth < depth))
    else if ((key === 'Enter' || key === ' ') && isBranch) toggle(level, !isOpen)
    else return false
    return true
  }

  return (
    <section class="card tree" aria-label="Topics">
      <div class="bar">
        <h2>Topics</h2>
        <input
          id="search"
          type="search"
          placeholder="Find a topic  ( / )"
          aria-label="Find a topic"
          value={wanted}
          onInput={({ currentTarget }) => setWanted(currentTarget.value)}
        />
      </div>
      <div class="row head" aria-hidden="true">
        <span>{connection.settings.filter}</span>
        <span>last value</span>
        <span class="trend">trend</span>
        <span class="rate">per s</span>
      </div>
      <div role="tree" aria-label="Topics" ref={tree} onKeyDown={onKeyDown}>
        {rows.map((row, index) => (
          <TreeRow
            key={row.level.path}
            {...{ row, now, toggle }}
            isSelected={row.level.path === selected}
            isReached={index === at}
            select={select}
          />
        ))}
      </div>
      {rows.length === 0 && (
        <p class="empty">
          {wanted === '' ? 'No message has come yet.' : `No topic has “${wanted}” in it.`}
        </p>
      )}
      {all.length > ROWS_MAX && (
        <p class="empty">{countText(all.length - ROWS_MAX)} more rows: find, or close branches.</p>
      )}
      {topics.unkept > 0 && (
        <p class="empty">
          {countText(topics.unkept)} messages of topics beyond {countText(TOPICS_MAX)} are not
          shown.
        </p>
      )}
      {dropped > 0 && <p class="empty">{countText(dropped)} messages came too fast to be shown.</p>}
    </section>
  )
}

interface RowProps {
  readonly row: Row
  readonly now: number
  readonly isSelected: boolean
  readonly isReached: boolean
  select(path: string): void
  toggle(level: Level, open: boolean): void
}

function TreeRow({ row, now, isSelected, isReached, select, toggle }: RowProps) {
  const { level, depth, isOpen } = row
  const { entry, children, path, name } = level
  const isBranch = children.size > 0
  const glow = Math.max(0, 1 - (now - level.lastAt) / GLOW_MS)
  const choose = () => {
    if (isBranch && entry === null) toggle(level, !isOpen)
    select(path)
  }
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree has the keys of all its items
    <div
      class="row"
      role="treeitem"
      tabIndex={isReached ? 0 : -1}
      aria-level={depth + 1}
      aria-expanded={isBranch ? isOpen : undefined}
      aria-selected={isSelected}
      data-topic={entry === null ? undefined : path}
      onClick={choose}
    >
      <span class="name" style={{ paddingInlineStart: `${depth * 1.1}rem` }}>
        <i class={isBranch ? 'twig' : 'dot'} style={{ '--glow': glow.toFixed(2) }}>
          {isBranch ? (isOpen ? '▾' : '▸') : ''}
        </i>
        {name === '' ? '(empty)' : name}
        {entry === null && <small> {countText(level.topics)}</small>}
      </span>
      <span class={`value ${entry?.kind ?? ''}`} title={entry?.text.slice(0, 300)}>
        {entry === null ? '' : entry.kind === 'empty' ? '(empty)' : entry.text.slice(0, 120)}
        {entry?.retain === true && <small class="tag">retained</small>}
      </span>
      <span class="trend">{entry !== null && <Sparkline points={entry.points} />}</span>
      <span class="rate">{rateText(level.rate.of(now))}</span>
    </div>
  )
}
