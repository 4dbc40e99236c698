/**
 * Which server is meant, in a message for a person?
 */
import { whereOf } from '../options/endpoint.ts'
import type { Parts } from './parts.ts'

/** @returns the endpoint for messages, without its password. */
export function endpointFor({ attempt, dialer, resolved }: Parts): string {
  return whereOf(attempt?.options ?? dialer?.options ?? resolved.options)
}
