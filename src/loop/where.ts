/**
 * Which server is meant, in a message for a person?
 */
import { whereOf } from '../options/endpoint.ts'
import type { EventloopOptions } from '../options/options.ts'
import type { AttemptStage } from '../protocol/contract.ts'
import type { Parts } from './parts.ts'

/** @returns the endpoint for messages, without its password. */
export function endpointFor(loop: Parts): string {
  return whereOf(optionsFor(loop))
}

/** Where a transport led to, or was to lead to. */
export interface Destination {
  /** The endpoint without its password. */
  readonly where: string
  /** Whether this package opened the transport, and not the user. */
  readonly own: boolean
  /** What the opening was waiting for; null if it is over. */
  readonly stage: AttemptStage | null
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
