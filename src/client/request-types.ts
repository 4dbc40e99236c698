/**
 * Which words do requests and responses have? Types only.
 */
import type { PublishProperties, PublishRequest, QoS } from '../index.ts'
import type { ClientSubscribeOptions, Message, Subscription } from './client-types.ts'
import type { Codec } from './codec.ts'
import type { StandardSchema } from './standard-schema.ts'
import type { ParamsOf, Topic } from './topic-types.ts'
