/**
 * Goal: the table answers as a Map does, and earlier versions of it stay as they were. Method:
 * random edits of both.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  emptyTable,
  entries,
  lookup,
  type PacketTable,
  TABLE_KEYS,
  TableEditor,
} from '../../src/protocol/packet-table.ts'
import { frozen } from './support.ts'

type Edit =
  | { readonly kind: 'set'; readonly key: number; readonly value: number }
  | { readonly kind: 'remove'; readonly key: number }
  | { readonly kind: 'clear' }
  /** Ends the step, so that the next edit belongs to another editor. */
  | { readonly kind: 'finish' }

/** Keys in one leaf, in one branch, at the borders of both, and anywhere. */
const keys = fc.oneof(
  fc.nat(8),
  fc.integer({ min: 60, max: 68 }),
  fc.integer({ min: 2040, max: 2056 }),
  fc.constantFrom(0, 1, 63, 64, 2047, 2048, 32_767, 32_768, 65_534, 65_535),
  fc.nat(TABLE_KEYS - 1),
)

const edits: fc.Arbitrary<Edit[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('set' as const), key: keys, value: fc.nat() }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('remove' as const), key: keys }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'finish' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const }) },
  ),
  { maxLength: 120 },
)

function editModel(model: Map<number, number>, edit: Edit): void {
  if (edit.kind === 'set') model.set(edit.key, edit.value)
  if (edit.kind === 'remove') model.delete(edit.key)
  if (edit.kind === 'clear') model.clear()
}

function edit(editor: TableEditor<number>, one: Edit): void {
  if (one.kind === 'set') editor.set(one.key, one.value)
  if (one.kind === 'remove') editor.remove(one.key)
  if (one.kind === 'clear') editor.clear()
}

/**
 * Applies the edits. With `shared` one editor is used for as long as possible, otherwise each edit
 * has its own.
 */
function build(list: readonly Edit[], shared: boolean): PacketTable<number> {
  let table = emptyTable<number>()
  let editor = new TableEditor(table)
  for (const one of list) {
    edit(editor, one)
    if (shared && one.kind !== 'finish') continue
    table = frozen(editor.finish())
    editor = new TableEditor(table)
  }
  return frozen(editor.finish())
}

const sorted = (model: Map<number, number>) => [...model].sort(([a], [b]) => a - b)

/** Checks that no branch or leaf is empty and that every count is right. */
function checkNodes(table: PacketTable<number>): void {
  let size = 0
  for (const branch of table.branches) {
    if (branch === undefined) continue
    const leaves = branch.slots.filter((leaf) => leaf !== undefined)
    expect(leaves.length).toBe(branch.count)
    expect(leaves.length).toBeGreaterThan(0)
    for (const leaf of leaves) {
      const values = leaf.slots.filter((value) => value !== undefined)
      expect(values.length).toBe(leaf.count)
      expect(values.length).toBeGreaterThan(0)
      size += values.length
    }
  }
  expect(size).toBe(table.size)
}

describe('beside a Map', () => {
  test('the same entries, sizes, answers and order, after every edit', () => {
    fc.assert(
      fc.property(edits, (list) => {
        const model = new Map<number, number>()
        let editor = new TableEditor(emptyTable<number>())
        for (const one of list) {
          if (one.kind === 'remove') {
            expect(editor.remove(one.key)).toBe(model.get(one.key))
          } else edit(editor, one)
          editModel(model, one)
          expect(editor.size).toBe(model.size)
          if ('key' in one) expect(editor.get(one.key)).toBe(model.get(one.key))
          if (one.kind !== 'finish') continue
          const table = frozen(editor.finish())
          expect([...entries(table)]).toEqual(sorted(model))
          editor = new TableEditor(table)
        }
        const table = editor.finish()
        expect([...entries(table)]).toEqual(sorted(model))
        expect(table.size).toBe(model.size)
        for (const one of list) {
          if ('key' in one) expect(lookup(table, one.key)).toBe(model.get(one.key))
        }
      }),
      { numRuns: 400 },
    )
  })

  test('every key there is, in and out again', () => {
    const editor = new TableEditor(emptyTable<number>())
    for (let key = 0; key < TABLE_KEYS; key++) editor.set(key, key + 1)
    const full = frozen(editor.finish())
    expect(full.size).toBe(TABLE_KEYS)
    let sum = 0
    for (const [key, value] of entries(full)) sum += value - key
    expect(sum).toBe(TABLE_KEYS)
    const drain = new TableEditor(full)
    for (let key = TABLE_KEYS - 1; key >= 0; key--) expect(drain.remove(key)).toBe(key + 1)
    expect(drain.finish()).toEqual(emptyTable())
    expect(full.size).toBe(TABLE_KEYS)
  })
})

describe('persistence', () => {
  test('old versions stay as they were, whatever later editors do', () => {
    fc.assert(
      fc.property(edits, (list) => {
        const model = new Map<number, number>()
        const versions: { table: PacketTable<number>; then: [number, number][] }[] = []
        let editor = new TableEditor(emptyTable<number>())
        for (const one of list) {
          edit(editor, one)
          editModel(model, one)
          if (one.kind !== 'finish') continue
          const table = frozen(editor.finish())
          versions.push({ table, then: sorted(model) })
          editor = new TableEditor(table)
        }
        for (const { table, then } of versions) {
          expect([...entries(table)]).toEqual(then)
          expect(table.size).toBe(then.length)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('two editors on one version know nothing of each other', () => {
    const base = build([{ kind: 'set', key: 5, value: 1 }], true)
    const left = new TableEditor(base)
    const right = new TableEditor(base)
    left.set(5, 2)
    right.remove(5)
    expect(lookup(left.finish(), 5)).toBe(2)
    expect(right.finish().size).toBe(0)
    expect(lookup(base, 5)).toBe(1)
  })

  test('an editor that changed nothing gives the very table it was given', () => {
    const table = build([{ kind: 'set', key: 70, value: 1 }], true)
    const editor = new TableEditor(table)
    expect(editor.get(70)).toBe(1)
    expect(editor.remove(71)).toBeUndefined()
    expect(editor.finish()).toBe(table)
  })

  test('a change shares every leaf but one', () => {
    const list = Array.from({ length: 4096 }, (_, key) => ({
      kind: 'set' as const,
      key,
      value: key,
    }))
    const before = build(list, true)
    const editor = new TableEditor(before)
    editor.set(100, -1)
    const after = editor.finish()
    const leaves = (table: PacketTable<number>) =>
      table.branches.flatMap((branch) => branch?.slots.filter((leaf) => leaf !== undefined) ?? [])
    const kept = new Set(leaves(before))
    expect(leaves(after).filter((leaf) => !kept.has(leaf)).length).toBe(1)
  })
})

describe('canonical form', () => {
  test('one editor or many: deeply equal tables, which only their entries decide', () => {
    fc.assert(
      fc.property(edits, (list) => {
        const once = build(list, true)
        expect(build(list, false)).toStrictEqual(once)
        const model = new Map<number, number>()
        for (const one of list) editModel(model, one)
        // The same entries in another order give the same table.
        const fresh = [...model].map(([key, value]) => ({ kind: 'set' as const, key, value }))
        expect(build(fresh.reverse(), true)).toStrictEqual(once)
      }),
      { numRuns: 300 },
    )
  })

  test('empty nodes are pruned: a table that was full once does not stay large', () => {
    fc.assert(
      fc.property(edits, fc.boolean(), (list, shared) => checkNodes(build(list, shared))),
      { numRuns: 200 },
    )
    const editor = new TableEditor(emptyTable<number>())
    for (let key = 0; key < TABLE_KEYS; key++) editor.set(key, key)
    const drain = new TableEditor(editor.finish())
    for (let key = 1; key < TABLE_KEYS; key++) drain.remove(key)
    const rest = drain.finish()
    checkNodes(rest)
    expect(rest.branches.filter((branch) => branch !== undefined).length).toBe(1)
  })
})
