/** How does the broker answer what it does not allow? */
import type { RefusalForm } from '../index.ts'
import type { Peer, PeerAnswer } from './peer.ts'
import { ifKnown, sureAnswer } from './proofs.ts'
import type { DoctorQuestion } from './question.ts'
import { type FoundOut, hasPayload, NotKnown, type Visit } from './visit.ts'

/** More levels than brokers with a limit take. */
const LEVELS = 300

interface Doubtful {
  readonly what: string
  readonly topic: string
  /** Whether it is refused for want of rights, as a topic of an application would be. */
  readonly isForbidden: boolean
}

/** What was refused, and how. */
interface Refused extends Doubtful {
  readonly form: RefusalForm
}

/** Topics that brokers refuse: those of the broker itself, and those with very many levels. */
function doubtfulTopics(visit: Visit): readonly Doubtful[] {
  return [
    { what: 'below $SYS/', topic: `$SYS/${visit.topic('x')}`, isForbidden: true },
    {
      ...{ what: `with ${LEVELS} levels`, isForbidden: false },
      topic: visit.topic(`${'a/'.repeat(LEVELS)}a`),
    },
  ]
}

async function formsOf(
  visit: Visit,
  formAt: (topic: string) => Promise<RefusalForm | null>,
): Promise<readonly Refused[]> {
  const found: Refused[] = []
  for (const one of doubtfulTopics(visit)) {
    const form = await ifKnown(formAt(one.topic))
    if (form !== null) found.push({ ...one, form })
  }
  return found
}

export const REFUSED_PUBLISH: DoctorQuestion = {
  id: 'refused-publish',
  question: 'How does it answer a publish that it refuses?',
  async run(visit) {
    const found = await formsOf(visit, (topic) => publishForm(visit, topic))
    return replyOf(found, 'publish', (forms) => ({ refusedPublish: forms }))
  },
}

async function publishForm(visit: Visit, topic: string): Promise<RefusalForm | null> {
  const watcher = await visit.open()
  const isWatching = (await watcher.subscribe(topic, { qos: 1 })).kind === 'accepted'
  const plain = visit.topic('plain')
  const senders: Peer[] = []
  const sent = async (to: string) => {
    const sender = await visit.open()
    senders.push(sender)
    return sender.publish(to, 'x', { qos: 1 })
  }
  const answer = await sureAnswer({ ask: () => sent(topic), control: () => sent(plain) })
  if (answer.kind !== 'accepted') return formOf(answer)
  // Without a subscription nobody can say what became of the message.
  if (!isWatching) return null
  await visit.grant(watcher, plain, 1)
  const way = { sender: senders.at(-1)!, topic: plain }
  return (await visit.mayCome(watcher, () => hasPayload(watcher.messages, 'x'), way))
    ? null
    : 'dropped'
}

export const REFUSED_SUBSCRIBE: DoctorQuestion = {
  id: 'refused-subscribe',
  question: 'How does it answer a subscription that it refuses?',
  async run(visit) {
    const asked = async (filter: string) => (await visit.open()).subscribe(filter, { qos: 1 })
    const found = await formsOf(visit, async (topic) => {
      const control = () => asked(visit.topic('plain'))
      const answer = await sureAnswer({ ask: () => asked(topic), control })
      return answer.kind === 'accepted' ? null : formOf(answer)
    })
    return replyOf(found, 'subscription', (forms) => ({ refusedSubscribe: forms }))
  },
}

function formOf({ kind }: PeerAnswer): RefusalForm | null {
  if (kind === 'refused') return 'code'
  return kind === 'closed' || kind === 'silence' ? kind : null
}

const FORM_WORDS: Readonly<Record<RefusalForm, string>> = {
  code: 'a reason code',
  closed: 'it closes the connection',
  dropped: 'it acknowledges and drops it',
  silence: 'no answer',
}

function replyOf(
  found: readonly Refused[],
  what: string,
  profileOf: (forms: readonly RefusalForm[]) => FoundOut['profile'] & object,
): FoundOut {
  if (found.length === 0) throw new NotKnown('it was not seen to refuse anything')
  const isCode = found.every(({ form }) => form === 'code')
  // A limit of levels is no matter of rights, so that the profile does not have it.
  const forms = found.flatMap(({ isForbidden, form }) => (isForbidden ? [form] : []))
  return {
    answer: found.map((one) => `${one.what}: ${FORM_WORDS[one.form]}`).join('; '),
    reliable: isCode,
    meaning: isCode
      ? `A ${what} that is refused has an error, and everything else goes on.`
      : found.some(({ form }) => form === 'closed')
        ? 'A refusal costs the connection; it-mqtt gives up what is refused again and again.'
        : `A ${what} that is refused looks as if it had been taken.`,
    profile: forms.length === 0 ? {} : profileOf(forms),
  }
}
