/**
 * When have the retained messages of a subscription come? A message of the client's own is
 * published after the SUBACK; when it has come back, the retained messages have come before it at
 * most servers. MQTT has no proof. (M9, `synced` says how sure it is)
 */
import type { QoS } from '../index.ts'
import { endedUnder } from './client-errors.ts'
import type { ProbeHost } from './probe-host.ts'
import { BEHIND_OTHERS, comesBack } from './probes.ts'
import { profileHere } from './profile-here.ts'
import type { Synced } from './subscription-types.ts'
import { sleep } from './waits.ts'

/** How long no retained message may have come, in ms, where the order is not known. */
const QUIET_MS = 250

/** What is looked at of a subscription. */
interface Synchronised {
  readonly granted: Promise<unknown>
  readonly rules: { readonly qos: QoS }
  /** How many retained messages have come, and when the last one did. */
  readonly retained: number
  readonly retainedAt: number
}

export async function sync(core: ProbeHost, subscription: Synchronised): Promise<Synced> {
  const endDemand = core.demand()
  try {
    await subscription.granted
    const scratch = core.scratchTopic()
    await comesBack(core, scratch, scratch, subscription.rules.qos, BEHIND_OTHERS)
    const ordered = profileHere(core).retainedBeforeFence === true
    if (!ordered) await quiet(core, subscription)
    return { certainty: ordered ? 'ordered' : 'quiet', count: subscription.retained }
  } finally {
    endDemand()
  }
}

/** Resolves when no retained message has come for a while. */
async function quiet(core: ProbeHost, subscription: Synchronised): Promise<void> {
  const from = core.clock.now()
  for (;;) {
    const since = core.clock.now() - Math.max(from, subscription.retainedAt)
    if (since >= QUIET_MS) return
    if (!core.isOpen) throw endedUnder('synced', false, null)
    await sleep(core, QUIET_MS - since)
  }
}
