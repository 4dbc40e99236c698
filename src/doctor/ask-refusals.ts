/** How does the broker answer what it does not allow? */
import type { RefusalForm } from '../index.ts'
import type { PeerAnswer } from './peer.ts'
import type { DoctorQuestion } from './question.ts'
import { type FoundOut, hasPayload, NotKnown, type Visit } from './visit.ts'

/** More levels than brokers with a limit take. */
const LEVELS = 300

/** Topics that brokers refuse: those of the broker itself, and those with very many levels. */
function doubtfulTopics(visit: Visit): readonly (readonly [what: string, topic: string])[] {
  return [
    ['below $SYS/', `$SYS/${visit.topic('x')}`],
    [`with ${LEVELS} levels`, visit.topic(`${'a/'.repeat(LEVELS)}a`)],
  ]
}

export const REFUSED_PUBLISH: DoctorQuestion = {
  id: 'refused-publish',
  question: 'How does it answer a publish that it refuses?',
  async run(visit) {
    const forms: [string, RefusalForm][] = []
    for (const [what, topic] of doubtfulTopics(visit)) {
      const form = await publishForm(visit, topic)
      if (form !== null) forms.push([what, form])
    }
    return replyOf(forms, 'publish', (found) => ({ refusedPublish: found }))
  },
}

async function publishForm(visit: Visit, topic: string): Promise<RefusalForm | null> {
  const watcher = await visit.open()
  const isWatching = (await watcher.subscribe(topic, { qos: 1 })).kind === 'accepted'
  const sender = await visit.open()
  const answer = await sender.publish(topic, 'x', { qos: 1 })
  if (answer.kind !== 'accepted') return formOf(answer)
  // Without a subscription nobody can say what became of the message.
  if (!isWatching) return null
  return (await visit.mayCome(watcher, () => hasPayload(watcher.messages, 'x'))) ? null : 'dropped'
}

export const REFUSED_SUBSCRIBE: DoctorQuestion = {
  id: 'refused-subscribe',
  question: 'How does it answer a subscription that it refuses?',
  async run(visit) {
    const forms: [string, RefusalForm][] = []
    for (const [what, topic] of doubtfulTopics(visit)) {
      const peer = await visit.open()
      const answer = await peer.subscribe(topic, { qos: 1 })
      const form = answer.kind === 'accepted' ? null : formOf(answer)
      if (form !== null) forms.push([what, form])
    }
    return replyOf(forms, 'subscription', (found) => ({ refusedSubscribe: found }))
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
  found: readonly (readonly [what: string, form: RefusalForm])[],
  what: string,
  profileOf: (forms: readonly RefusalForm[]) => FoundOut['profile'] & object,
): FoundOut {
  if (found.length === 0) throw new NotKnown('it refused nothing that was asked for')
  const forms = [...new Set(found.map(([, form]) => form))]
  const isCode = forms.every((form) => form === 'code')
  return {
    answer: found.map(([where, form]) => `${where}: ${FORM_WORDS[form]}`).join('; '),
    reliable: isCode,
    meaning: isCode
      ? `A ${what} that is refused has an error, and everything else goes on.`
      : forms.includes('closed')
        ? 'A refusal costs the connection; it-mqtt gives up what is refused again and again.'
        : `A ${what} that is refused looks as if it had been taken.`,
    profile: profileOf(forms),
  }
}
