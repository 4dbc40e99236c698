/** By what is a request of a file known until it is settled? */
import type { Request } from '../../requests/vocabulary.ts'

/** The key of a request, or the request itself if it has none. */
export type Name = string | number | object

export function nameOf(request: Request): Name {
  return ('key' in request ? request.key : undefined) ?? request
}
