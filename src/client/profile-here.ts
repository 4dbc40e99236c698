/** Which profile counts on the present connection? */
import type { BrokerProfile } from '../index.ts'

const NO_PROFILE: BrokerProfile = {}

/** What is looked at of a client; there must have been a connection. */
interface Profiled {
  readonly plan: { readonly profile: BrokerProfile }
  terms(): { readonly isMqtt5: boolean }
}

/** @returns the profile that the client was given; nothing of one for another version of MQTT. */
export function profileHere(client: Profiled): BrokerProfile {
  const { profile } = client.plan
  const { protocolVersion: version = 'unknown' } = profile
  if (version === 'unknown') return profile
  return (version === 5) === client.terms().isMqtt5 ? profile : NO_PROFILE
}
