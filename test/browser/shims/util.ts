/** `inspect` of Node, for a browser: it looks at everything that a console would show. */
const CUSTOM = Symbol.for('nodejs.util.inspect.custom')

export function inspect(value: unknown): string {
  const custom = (value as { [CUSTOM]?: (...args: unknown[]) => unknown } | null)?.[CUSTOM]
  if (typeof custom !== 'function') return JSON.stringify(value)
  const shown = custom.call(value, 2, {}, inspect)
  return typeof shown === 'string' ? shown : JSON.stringify(shown)
}
