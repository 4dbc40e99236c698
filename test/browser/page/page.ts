/** What a test asks of its page: `globalThis.programs` has the programs of work.ts. */
import * as work from './work.ts'

/** Runs a program in a Worker. */
function inWorker(name: string, ...args: unknown[]): Promise<unknown> {
  const worker = new Worker('/worker.js', { type: 'module' })
  return answerOf(worker, name, args).finally(() => worker.terminate())
}

/** Runs a program in a SharedWorker. */
function inSharedWorker(name: string, ...args: unknown[]): Promise<unknown> {
  const { port } = new SharedWorker('/worker.js', { type: 'module' })
  port.start()
  return answerOf(port, name, args)
}

function answerOf(to: Worker | MessagePort, name: string, args: unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    to.addEventListener('message', (event) => {
      const { value, error } = (event as MessageEvent).data
      if (error === undefined) resolve(value)
      else reject(new Error(error))
    })
    to.addEventListener('error', (event) => reject(new Error((event as ErrorEvent).message)))
    to.postMessage([name, args])
  })
}

Object.assign(globalThis, { programs: { ...work, inWorker, inSharedWorker } })
