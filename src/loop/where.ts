/**
 * Which server is meant, in a message for a person?
 */
import { whereOf } from '../options/endpoint.ts'
import type { EventloopOptions } from '../options/options.ts'
import type { Destination } from './failures.ts'
import type { Parts } from './parts.ts'

/** @returns the endpoint for messages, without its password. */
export function endpointFor(loop: Parts): string {
  return whereOf(optionsFor(loop))
}

/** @returns the destination of the latest attempt. */
export function destinationOf(loop: Parts): Destination {
  const options = optionsFor(loop)
  const stage = loop.dialer?.stage ?? null
  return { where: whereOf(options), own: options.transport === undefined, stage }
}

function optionsFor({ attempt, dialer, resolved }: Parts): EventloopOptions {
  return attempt?.options ?? dialer?.options ?? resolved.options
}
