/**
 * What does a service answer that nobody has mocked? A value of its output schema: one that
 * `json-schema-faker` makes, if that package is installed, else the smallest.
 */
import { UsageError } from '../../index.ts'
import type { ApiRpc, ApiSchema } from '../index.ts'
import { jsonSchemaToMake, shapeOfSchema } from './schema-shape.ts'
import { smallestValue } from './smallest-value.ts'

/** The same seed gives the same values in each run. */
const SEED = 1

interface Faker {
  generate(schema: object, options: { readonly seed: number }): Promise<unknown>
}

/** Makes answers. */
export interface StubMaker {
  /** @throws UsageError if no valid answer can be made. */
  answer(rpc: ApiRpc): Promise<unknown>
}

/** @param load loads the package, or resolves with null if it is not installed. */
export function stubMaker(load: () => Promise<Faker | null> = loadFaker): StubMaker {
  let faker: Promise<Faker | null> | undefined
  return {
    async answer({ output }) {
      if (output === undefined) return undefined
      const schema = jsonSchemaToMake(output)
      faker ??= load()
      const loaded = await faker
      const value =
        loaded === null
          ? smallestValue(shapeOfSchema(schema))
          : await loaded.generate(schema, { seed: SEED })
      await checkStub(output, value)
      return value
    },
  }
}

async function loadFaker(): Promise<Faker | null> {
  try {
    return (await import('json-schema-faker')) as unknown as Faker
  } catch {
    return null
  }
}

/** A schema may want more than its JSON Schema says, such as a check that is a function. */
async function checkStub(schema: ApiSchema, value: unknown): Promise<void> {
  if (!('~standard' in schema)) return
  const standard = schema['~standard'] as {
    validate(value: unknown): Promise<{ readonly issues?: readonly { message: string }[] }>
  }
  const { issues } = await standard.validate(value)
  if (issues === undefined) return
  throw new UsageError(`the schema refuses what was made of it: ${issues[0]?.message ?? ''}`)
}
