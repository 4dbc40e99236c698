/**
 * `npm run kill -- [--times 1000] [--seed 1]`: kills the real program with SIGKILL many times;
 * mosquitto is needed. `npm run kill -- --presence [--processes 200] [--seconds 60] [--only mosquitto]`
 * kills, stops and cuts off members of presence, with mosquitto and with ejabberd. `npm run kill --
 * --bus [--kills 1000] [--seed 1]` kills the processes of services that call each other and listen.
 */
import { parseArgs } from 'node:util'
import { isInstalled, KINDS } from '../support/brokers.ts'
import { Authority } from '../support/certificates.ts'
import { temporaryFolder } from '../support/process.ts'
import { killServices } from './bus-kill.ts'
import { kill } from './kill.ts'
import { killMembers } from './presence-kill.ts'

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    presence: { type: 'boolean', default: false },
    bus: { type: 'boolean', default: false },
    kills: { type: 'string', default: '1000' },
    processes: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '60' },
    only: { type: 'string', default: 'mosquitto,ejabberd' },
  },
})
const seed = Number(values.seed)

function report(problems: readonly string[], figures: object, good: string, since: number): void {
  console.log(JSON.stringify(figures, null, 1))
  for (const problem of problems) console.error(problem)
  const took = ((performance.now() - since) / 1000).toFixed(0)
  console.log(`${problems.length > 0 ? 'FAILED' : good} (${took} s)`)
  if (problems.length > 0) process.exitCode = 1
}

async function killPrograms(): Promise<void> {
  console.log(`${values.times} kills, seed ${seed}`)
  const startedAt = performance.now()
  const plan = { kills: Number(values.times), seed, say: console.log }
  const { problems, ...figures } = await kill(plan)
  report(problems, figures, 'nothing lost, nothing doubled', startedAt)
}

async function killBus(): Promise<void> {
  console.log(`${values.kills} kills, seed ${seed}`)
  const startedAt = performance.now()
  const plan = { kills: Number(values.kills), seed, say: console.log }
  const { problems, ...figures } = await killServices(plan)
  report(problems, figures, 'no event lost, none handled again, every call told', startedAt)
}

async function killPresence(): Promise<void> {
  for (const kind of KINDS) {
    if (!values.only.split(',').includes(kind.name)) continue
    if (!isInstalled(kind)) {
      console.log(`not run: ${kind.name} is not installed`)
      continue
    }
    const startedAt = performance.now()
    const folder = temporaryFolder()
    const authority = await Authority.create(folder.path, 'authority')
    const certificate = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
    const broker = await kind.start(folder.path, certificate)
    try {
      console.log(`${kind.name}: ${values.processes} processes, seed ${seed}`)
      const { problems, ...figures } = await killMembers({
        ...{ url: broker.url, version: 5, seed, say: console.log },
        ...{ processes: Number(values.processes), seconds: Number(values.seconds) },
      })
      report(problems, figures, 'every list was right within the bound', startedAt)
    } finally {
      await broker.stop()
      folder.remove()
    }
  }
}

if (values.bus) await killBus()
else await (values.presence ? killPresence() : killPrograms())
