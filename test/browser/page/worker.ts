/** Runs programs of work.ts in a Worker or SharedWorker, as messages ask for them. */
import * as work from './work.ts'

type Answer = (message: unknown) => void

async function run([name, args]: [keyof typeof work, unknown[]], answer: Answer): Promise<void> {
  try {
    // biome-ignore lint/performance/noDynamicNamespaceImportAccess: the test names the program.
    answer({ value: await (work[name] as (...args: unknown[]) => unknown)(...args) })
  } catch (error) {
    answer({ error: String(error) })
  }
}

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent) => void
  onconnect: (event: MessageEvent) => void
  postMessage: Answer
}

scope.onmessage = ({ data }) => void run(data, (message) => scope.postMessage(message))

scope.onconnect = ({ ports: [port] }) => {
  port!.onmessage = ({ data }) => void run(data, (message) => port!.postMessage(message))
}
