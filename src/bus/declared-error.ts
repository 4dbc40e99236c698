/** Which error of an API is it that a call was rejected with? */
import type { ApiRpc, DeclaredOf } from './api-types.ts'
import { declaredIn } from './calling.ts'

/**
 * Tells errors that an rpc declares from all others, with their types.
 * @param rpc the definition, such as `auth.rpcs.checkPassword`.
 * @param error what the call was rejected with.
 * @returns its code and its data; null for any other error.
 */
export function declaredError<const Rpc extends ApiRpc>(
  rpc: Rpc,
  error: unknown,
): DeclaredOf<Rpc> | null {
  const remote = declaredIn(rpc, error)
  if (remote === null) return null
  const { code, data, message } = remote
  return { code, data, message } as DeclaredOf<Rpc>
}
