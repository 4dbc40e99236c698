/**
 * Is a text a Topic Name or a Topic Filter? For users who check input before they make a request of
 * it; the loop checks every request anyway.
 */
import { describe } from '../errors.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import { topicFilterProblem, topicNameProblem } from '../protocol/topics.ts'

/**
 * Checks a Topic Name, the topic of a PUBLISH. (4.7)
 *
 * @param topic 1 to 65,535 bytes of UTF-8, without + and # [MQTT-3.3.2-2] and without U+0000.
 * @returns what is wrong, as a sentence that names the rule, or null if nothing is.
 */
export function validateTopic(topic: string): string | null {
  return sentence('topic', topic, () => topicNameProblem(topic))
}

/**
 * Checks a Topic Filter, the topic of a subscription. (4.7, 4.8.2)
 *
 * @param filter 1 to 65,535 bytes of UTF-8 without U+0000. + and # stand for whole levels
 *   [MQTT-4.7.1-1], [MQTT-4.7.1-2]. In MQTT 5 `$share/name/filter` is a Shared Subscription.
 * @param protocolVersion the version whose rules hold. Default 5.
 * @returns what is wrong, as a sentence that names the rule, or null if nothing is.
 */
export function validateFilter(
  filter: string,
  protocolVersion: ProtocolVersion = 5,
): string | null {
  return sentence('filter', filter, () => topicFilterProblem(filter, protocolVersion))
}

function sentence(what: string, given: unknown, check: () => string | null): string | null {
  if (typeof given !== 'string') return `the ${what} must be a string, not ${describe(given)}`
  const problem = check()
  return problem === null ? null : `the ${what} ${problem}`
}
