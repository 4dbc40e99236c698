/** Which hooks surround something, and how do they run? Where there are none, nothing is spent. */
import { UsageError } from '../index.ts'
import { checkBusName } from './bus-names.ts'
import { checkFieldNames } from './define-api.ts'
import type {
  BusHooks,
  CallContext,
  ExecuteContext,
  FireContext,
  HandleContext,
  Hook,
  LifeContext,
  TaskContext,
} from './hook-types.ts'

interface ContextByKind {
  readonly start: LifeContext
  readonly stop: LifeContext
  readonly call: CallContext
  readonly execute: ExecuteContext
  readonly fire: FireContext
  readonly handle: HandleContext
  readonly task: TaskContext
}
type HookKind = keyof ContextByKind

const HOOK_KINDS: readonly HookKind[] = [
  ...(['start', 'stop', 'call', 'execute', 'fire', 'handle', 'task'] as const),
]
const NO_HOOKS: readonly never[] = []

export class HookTable {
  readonly #hooks: BusHooks[] = []
  readonly #found = new Map<string, readonly Hook<never>[]>()

  /** @throws UsageError for what is no hook. */
  add(hooks: BusHooks): void {
    checkFieldNames('hook', hooks, ['api', ...HOOK_KINDS])
    const { api, start, stop, task } = hooks
    if (api !== undefined) {
      for (const level of String(api).split('/')) checkBusName('hook: api', level)
      if (start !== undefined || stop !== undefined || task !== undefined) {
        throw new UsageError('hook: start, stop and task are of the whole bus; leave out `api`')
      }
    }
    for (const kind of HOOK_KINDS) {
      const hook: unknown = hooks[kind]
      if (hook === undefined || typeof hook === 'function') continue
      throw new UsageError(`hook: ${kind} must be a function (context, next)`)
    }
    this.#hooks.push(hooks)
    this.#found.clear()
  }

  /** @returns the hooks of a kind, those for all APIs first. */
  of<Kind extends HookKind>(kind: Kind, api = ''): readonly Hook<ContextByKind[Kind]>[] {
    if (this.#hooks.length === 0) return NO_HOOKS
    const name = `${kind} ${api}`
    const known = this.#found.get(name)
    if (known !== undefined) return known as readonly Hook<ContextByKind[Kind]>[]
    const own = (one: BusHooks) => (one.api === undefined ? -1 : 1)
    const found = this.#hooks
      .filter((one) => one.api === undefined || one.api === api)
      .sort((a, b) => own(a) - own(b))
      .flatMap((one) => one[kind] ?? [])
    this.#found.set(name, found as readonly Hook<never>[])
    return found as readonly Hook<ContextByKind[Kind]>[]
  }
}

/** Runs a core inside of its hooks. @returns what the outermost hook returns. */
export function runHooks<Context>(
  hooks: readonly Hook<Context>[],
  context: Context,
  core: () => Promise<unknown>,
): Promise<unknown> {
  const layer = async (index: number): Promise<unknown> => {
    const hook = hooks[index]
    if (hook === undefined) return core()
    let isCalled = false
    return hook(context, () => {
      if (isCalled) {
        const message = 'a hook called next() a second time; what it surrounds runs once'
        return Promise.reject(new UsageError(message))
      }
      isCalled = true
      return layer(index + 1)
    })
  }
  return layer(0)
}
