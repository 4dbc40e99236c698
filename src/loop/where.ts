/**
 * Which server is meant, in a message for a person?
 */
import { whereOf } from '../options/endpoint.ts'
import type { EventloopOptions } from '../options/options.ts'
import type { Parts } from './parts.ts'

/** @returns the endpoint for messages, without its password. */
export function endpointFor(loop: Parts): string {
  return whereOf(optionsFor(loop))
}

/** @returns the endpoint for messages, and whether this package opens the transport to it. */
export function destinationOf(loop: Parts): { readonly where: string; readonly own: boolean } {
  const options = optionsFor(loop)
  return { where: whereOf(options), own: options.transport === undefined }
}

function optionsFor({ attempt, dialer, resolved }: Parts): EventloopOptions {
  return attempt?.options ?? dialer?.options ?? resolved.options
}
