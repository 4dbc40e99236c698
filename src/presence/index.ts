/** The public names of `it-mqtt/presence`. Nothing is defined here. */
export { presence } from './presence.ts'
export type {
  CallBounds,
  Certainty,
  ConnectionPresenceOptions,
  GetOptions,
  Member,
  MemberOptions,
  Presence,
  PresenceChange,
  PresenceOptions,
  PresenceState,
  PresenceSynced,
} from './presence-types.ts'
export { withPresence } from './with-presence.ts'
