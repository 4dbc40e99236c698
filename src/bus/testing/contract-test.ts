/**
 * Does an implementation do what its API says? It is called with values that are made of the
 * schemas at random, over a real bus. What fits must be answered with what fits, or with an error
 * that is declared; what does not fit must be refused, and not be executed.
 */
import type { Arbitrary } from 'fast-check'
import { UsageError } from '../../index.ts'
import {
  type Api,
  type ApiEvents,
  type ApiRpc,
  type ApiRpcs,
  type BusOptions,
  declaredError,
  type Implementation,
} from '../index.ts'
import { shownValue } from './expectation.ts'
import { type FakeBus, fakeBus } from './fake-bus.ts'
import { jsonSchemaToMake, shapeOfSchema } from './schema-shape.ts'
import { arbitraryOf, type FastCheck, nearlyOf } from './shape-arbitrary.ts'

const CONTRACT_FIELDS = ['runs', 'only', 'inputs', 'seed', 'path', 'bus']
const CONTRACT_RUNS = 100
const CONTRACT_RUNS_MAX = 1_000_000
/** No time passes on the clock, so that a handler may take as long as it needs. */
const CONTRACT_CALL_MS = 86_400_000

/** The options of `contractTest()`. */
export interface ContractOptions {
  /** How many inputs each rpc is called with, 1 to 1,000,000. Default 100. */
  readonly runs?: number | undefined
  /** The rpcs that are called. Default: all. */
  readonly only?: readonly string[] | undefined
  /**
   * Arbitraries of `fast-check` for the inputs of some rpcs, by name: instead of those that are
   * made from their schemas, or where none can be made.
   */
  readonly inputs?: Readonly<Record<string, unknown>> | undefined
  /** What a failure says: the same seed gives the same inputs. Default: another one each time. */
  readonly seed?: number | undefined
  /** What a failure says: the way to the input that failed. Only with one rpc in `only`. */
  readonly path?: string | undefined
  /** Options of the bus that serves the implementation, such as `codec`, `ajv` or `hooks`. */
  readonly bus?: Partial<BusOptions> | undefined
}

/** What became of the inputs of one rpc. */
export interface ContractReport {
  /** The name of the rpc. */
  readonly rpc: string
  /** How many inputs were valid and answered with a value. */
  readonly answered: number
  /** How many inputs were valid and answered with a declared error. */
  readonly declared: number
  /** How many inputs were not valid, and refused. */
  readonly refused: number
}

/** What is known of one rpc while it is tested. */
interface Subject {
  readonly api: string
  readonly name: string
  readonly rpc: ApiRpc
  readonly fake: FakeBus
  /** Calls it as others do, who validate what they send. */
  readonly strict: (input?: unknown) => Promise<unknown>
  /** Calls it as others do, who send everything. */
  readonly careless: (input?: unknown) => Promise<unknown>
  executed(): number
  readonly counts: { answered: number; declared: number; refused: number }
}

/**
 * Calls an implementation with values that are made of the input schemas of its API at random:
 * valid ones, and some that are almost valid. Each valid one has to be answered with a value that
 * fits the output schema, or with an error that the API declares. Each other one has to be refused
 * with `BAD_REQUEST`, and the handler must not run. It needs the package `fast-check`.
 * @param implementation the handlers. They run in this process, and may take their time.
 * @returns what became of the inputs, by rpc.
 * @throws an error with the rpc, the seed and the smallest input that was found to fail; UsageError
 *   for an option that cannot be used, or a schema of which no values can be made.
 */
export async function contractTest<Rpcs extends ApiRpcs, Events extends ApiEvents>(
  api: Api<Rpcs, Events>,
  implementation: Implementation<Rpcs>,
  options: ContractOptions = {},
): Promise<readonly ContractReport[]> {
  checkContractOptions(api, options)
  const fc = await loadFastCheck()
  const fake = fakeBus({ bus: { ...options.bus, timeout: CONTRACT_CALL_MS } })
  try {
    return await testRpcs(fc, fake, api as Api, implementation as AnyImplementation, options)
  } finally {
    await fake.close()
  }
}

type AnyHandler = (input: unknown, call: unknown) => unknown
type AnyImplementation = Readonly<Record<string, AnyHandler>>
type Callers = Readonly<Record<string, (input?: unknown) => Promise<unknown>>>

async function testRpcs(
  fc: FastCheck,
  fake: FakeBus,
  api: Api,
  implementation: AnyImplementation,
  options: ContractOptions,
): Promise<readonly ContractReport[]> {
  const runs = new Map<string, number>()
  const handlers = Object.entries(implementation).map(([name, handler]) => {
    const counted: AnyHandler = (input, call) => {
      runs.set(name, (runs.get(name) ?? 0) + 1)
      return handler(input, call)
    }
    return [name, typeof handler === 'function' ? counted : handler]
  })
  const served = fake.bus.serve(api, Object.fromEntries(handlers))
  const running = fake.bus.run()
  // A schema that cannot be used ends `run()`.
  await Promise.race([served.granted, running])
  const validate = { outgoing: false, incoming: true }
  // Hooks are those of the side that answers.
  const strict = fake.join('strict', { hooks: [] }).api(api) as Callers
  const careless = fake.join('careless', { hooks: [], validate }).api(api) as Callers
  const reports: ContractReport[] = []
  for (const name of options.only ?? Object.keys(api.rpcs)) {
    const counts = { answered: 0, declared: 0, refused: 0 }
    const subject: Subject = {
      ...{ api: api.name, name, rpc: api.rpcs[name]!, fake, counts },
      ...{ strict: strict[name]!, careless: careless[name]! },
      executed: () => runs.get(name) ?? 0,
    }
    await checkRpc(fc, subject, options)
    reports.push({ rpc: name, ...counts })
  }
  return reports
}

function checkContractOptions(api: Api, options: ContractOptions): void {
  const unknown = Object.keys(options).find((field) => !CONTRACT_FIELDS.includes(field))
  if (unknown !== undefined) {
    const allowed = CONTRACT_FIELDS.join(', ')
    throw new UsageError(`contractTest has no option "${unknown}"; allowed: ${allowed}`)
  }
  const { runs = CONTRACT_RUNS, only = [], inputs = {}, path } = options
  if (!(Number.isInteger(runs) && runs >= 1 && runs <= CONTRACT_RUNS_MAX)) {
    throw new UsageError(`contractTest: runs must be a whole number from 1 to ${CONTRACT_RUNS_MAX}`)
  }
  const stranger = [...only, ...Object.keys(inputs)].find((name) => !Object.hasOwn(api.rpcs, name))
  if (stranger !== undefined) {
    const names = Object.keys(api.rpcs).join(', ') || 'none'
    throw new UsageError(`contractTest: ${api.name} has no rpc "${stranger}"; it has: ${names}`)
  }
  if (path === undefined || only.length === 1) return
  throw new UsageError('contractTest: path belongs to one rpc; name it in `only`')
}

async function loadFastCheck(): Promise<FastCheck> {
  try {
    return await import('fast-check')
  } catch (cause) {
    const what = 'contractTest needs the package fast-check, which cannot be loaded'
    throw new UsageError(`${what}: npm install --save-dev fast-check@4`, { cause })
  }
}

async function checkRpc(fc: FastCheck, subject: Subject, options: ContractOptions): Promise<void> {
  const { api, name } = subject
  const { runs = CONTRACT_RUNS, seed, path } = options
  const inputs = inputsOf(fc, subject, options)
  const details = await fc.check(
    fc.asyncProperty(inputs, (input) => checkInput(subject, input)),
    {
      numRuns: runs,
      ...(seed === undefined ? {} : { seed }),
      ...(path === undefined ? {} : { path }),
    },
  )
  if (!details.failed) return
  const { counterexample, counterexamplePath, errorInstance } = details
  // What is wrong with the test itself is no failure of the implementation.
  if (errorInstance instanceof UsageError) throw errorInstance
  const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  const again = `{ only: ['${name}'], seed: ${details.seed}, path: '${counterexamplePath}' }`
  const message = [
    `${api} ${name}: ${why}`,
    `  input: ${shownValue(counterexample?.[0])}`,
    `  again: contractTest(api, implementation, ${again})`,
  ]
  throw new Error(message.join('\n'), { cause: errorInstance })
}

function inputsOf(fc: FastCheck, { api, name, rpc }: Subject, { inputs = {} }: ContractOptions) {
  if (Object.hasOwn(inputs, name)) return inputs[name] as Arbitrary<unknown>
  if (rpc.input === undefined) return fc.option(fc.jsonValue(), { nil: undefined })
  try {
    const shape = shapeOfSchema(jsonSchemaToMake(rpc.input))
    return fc.oneof(
      // What is almost valid is made smaller by values that are valid, too.
      { withCrossShrink: true },
      { weight: 2, arbitrary: arbitraryOf(fc, shape) },
      { weight: 1, arbitrary: nearlyOf(fc, shape) },
    )
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const remedy = `give an arbitrary in \`inputs: { ${name}: … }\``
    throw new UsageError(`contractTest: ${api} ${name}: ${why}; ${remedy}`, { cause })
  }
}

/** @throws an error that says what the implementation should have done. */
async function checkInput(subject: Subject, input: unknown): Promise<void> {
  const { rpc, strict, counts, fake } = subject
  const before = fake.warnings.length
  const error = await rejectionOf(strict(input))
  if (error === null) {
    counts.answered++
    return
  }
  if (codeIn(error) === 'INVALID_INPUT') return checkRefusal(subject, input)
  if (declaredError(rpc, error) !== null) {
    counts.declared++
    return
  }
  // The caller is not told why a handler failed; the side that answers is.
  const said = fake.warnings.slice(before).map(({ message }) => message)
  const text = said.length > 0 ? said.join('; ') : (error as Error).message
  throw new Error(`a valid input was not answered with a valid output: ${text}`, { cause: error })
}

async function checkRefusal(subject: Subject, input: unknown): Promise<void> {
  const before = subject.executed()
  const error = await rejectionOf(subject.careless(input))
  if (subject.executed() > before) throw new Error('an input that is not valid was executed')
  const code = error === null ? 'an answer' : codeIn(error)
  if (code !== 'BAD_REQUEST') {
    throw new Error(`an input that is not valid got ${code}, and not BAD_REQUEST`, { cause: error })
  }
  subject.counts.refused++
}

function rejectionOf(promise: Promise<unknown>): Promise<object | null> {
  return promise.then(
    () => null,
    (error: unknown) => Object(error) as object,
  )
}

function codeIn(error: object): unknown {
  return (error as { readonly code?: unknown }).code
}
