/**
 * What is a broker asked? One entry for each question, in the order of the report. A new question
 * is one entry, in the file of its subject.
 */
import { ANNOUNCED_LIMITS, RESPONSE_INFORMATION } from './ask-connack.ts'
import { ORDER, ORDER_OVER_TOPICS, OVERLAP, QOS_GRANTED, SENDS_AHEAD } from './ask-delivery.ts'
import { FILTERS_PER_SUBSCRIBE, PACKET_SIZE, PACKET_SIZE_OBEYED } from './ask-limits.ts'
import { RECEIVE_MAXIMUM_OBEYED } from './ask-receive-maximum.ts'
import { REFUSED_PUBLISH, REFUSED_SUBSCRIBE } from './ask-refusals.ts'
import { BY_WILDCARD, FENCE, RETAIN_ONCE, RETAINED_EXPIRY } from './ask-retained.ts'
import { NOBODY_AWAY, NOBODY_SUBSCRIBED, SESSION_KEPT } from './ask-sessions.ts'
import { SHARED, SHARED_AWAY, SHARED_LOST, SHARED_NOBODY } from './ask-shared.ts'
import { WILL, WILL_AT_END, WILL_DELAYED, WILL_TAKEOVER } from './ask-wills.ts'
import type { DoctorQuestion } from './question.ts'

export const QUESTIONS: readonly DoctorQuestion[] = [
  ...[ANNOUNCED_LIMITS, RESPONSE_INFORMATION, QOS_GRANTED, FILTERS_PER_SUBSCRIBE, PACKET_SIZE],
  ...[PACKET_SIZE_OBEYED, RECEIVE_MAXIMUM_OBEYED, SENDS_AHEAD, ORDER, ORDER_OVER_TOPICS, OVERLAP],
  ...[
    BY_WILDCARD,
    FENCE,
    RETAIN_ONCE,
    RETAINED_EXPIRY,
    SESSION_KEPT,
    NOBODY_SUBSCRIBED,
    NOBODY_AWAY,
  ],
  ...[WILL, WILL_TAKEOVER, WILL_DELAYED, WILL_AT_END, SHARED, SHARED_LOST, SHARED_AWAY],
  ...[SHARED_NOBODY, REFUSED_PUBLISH, REFUSED_SUBSCRIBE],
]
