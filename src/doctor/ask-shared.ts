/** Are there shared subscriptions, and what becomes of messages if members come and go? */
import type { Peer, PeerAnswer } from './peer.ts'
import type { DoctorQuestion } from './question.ts'
import { hasPayload, NotKnown, payloadString, type Visit } from './visit.ts'

const MESSAGES = ['0', '1', '2', '3']

const sharedFilter = (visit: Visit) => `$share/doctor/${visit.topic('job')}`

/** Makes a member. @throws NotKnown if there are no shared subscriptions. */
async function joins(visit: Visit, member: Peer): Promise<void> {
  const { kind } = await member.subscribe(sharedFilter(visit), { qos: 1 })
  if (kind !== 'accepted') throw new NotKnown('there are no shared subscriptions')
}

async function publishJobs(visit: Visit, jobs: readonly string[]): Promise<Peer> {
  const sender = await visit.open()
  const topic = visit.topic('job')
  const answers = await sender.publishTogether(
    jobs.map((payload) => [topic, payload, { qos: 1 }] as const),
  )
  if (answers.some(({ kind }) => kind !== 'accepted')) throw new NotKnown('a publish failed')
  return sender
}

export const SHARED: DoctorQuestion = {
  id: 'shared',
  question: 'Are there shared subscriptions?',
  async run(visit) {
    const members = [await visit.open(), await visit.open()]
    for (const member of members) {
      const answer = await member.subscribe(sharedFilter(visit), { qos: 1 })
      if (answer.kind !== 'accepted') return withoutShared(answer)
    }
    const [one] = members
    await visit.grant(one!, visit.topic('behind'), 1)
    const sender = await publishJobs(visit, MESSAGES)
    await visit.send(sender, visit.topic('behind'), 'behind')
    await visit.comes(one!, 'a message behind them', () => hasPayload(one!.messages, 'behind'))
    const jobs = () => members.flatMap(({ messages }) => messages.map(payloadString))
    const count = () => jobs().filter((payload) => payload !== 'behind').length
    for (const member of members) await visit.mayCome(member, () => count() > MESSAGES.length)
    if (count() === 0) {
      const meaning = 'A filter with $share is granted and brings nothing: do not use it.'
      const profile = { sharedSubscriptions: false }
      return { answer: 'no: it is granted, and nothing comes', reliable: false, meaning, profile }
    }
    const isShared = count() === MESSAGES.length && MESSAGES.every((one) => jobs().includes(one))
    return {
      answer: isShared ? 'yes' : `no: ${count()} copies of ${MESSAGES.length} messages came`,
      reliable: isShared,
      meaning: isShared
        ? 'Work may be shared among several processes.'
        : 'Each process gets every message; run one of them.',
      profile: { sharedSubscriptions: isShared },
    }
  },
}

const WITHOUT = {
  accepted: 'no',
  refused: 'no: a reason code refuses them',
  closed: 'no: they end the connection',
  unsent: 'no',
} as const

function withoutShared({ kind }: PeerAnswer) {
  if (kind === 'silence') throw new NotKnown('a subscription got no answer')
  return {
    answer: WITHOUT[kind],
    ...(kind === 'unsent' ? { certainty: 'said' as const } : {}),
    reliable: false,
    meaning: 'Run one process for each kind of work.',
    profile: { sharedSubscriptions: false },
  }
}

export const SHARED_LOST: DoctorQuestion = {
  id: 'shared-lost',
  question: 'Does another member get what a lost member has not acknowledged?',
  async run(visit) {
    const dying = await visit.open({ holds: true })
    await joins(visit, dying)
    await publishJobs(visit, ['0'])
    await visit.comes(dying, 'a message of a shared subscription', () =>
      hasPayload(dying.messages, '0'),
    )
    const other = await visit.open()
    await joins(visit, other)
    await dying.cut()
    const came = await visit.mayCome(other, () => hasPayload(other.messages, '0'), 2000)
    return {
      answer: came ? 'yes' : 'no, it is lost',
      reliable: came,
      meaning: came
        ? 'Work goes on if a process dies.'
        : 'Work that a process had when it died is lost; keep sessions, or ask for answers.',
      profile: { sharedRedistribution: came },
    }
  },
}

export const SHARED_AWAY: DoctorQuestion = {
  id: 'shared-away',
  question: 'Does a member that is away get nothing while another one is there?',
  async run(visit) {
    const away = await visit.open({ keeps: true })
    await joins(visit, away)
    await away.close()
    const other = await visit.open()
    await joins(visit, other)
    await publishJobs(visit, MESSAGES)
    const { messages } = other
    const isWhole = await visit.mayCome(other, () => messages.length >= MESSAGES.length, 2000)
    if (messages.length === 0) throw new NotKnown('nothing came over a shared subscription')
    return {
      answer: isWhole ? 'yes' : `no, it got ${MESSAGES.length - messages.length} of 4`,
      reliable: isWhole,
      meaning: isWhole
        ? 'A process that pauses delays nothing.'
        : 'Work waits for processes that are away; end their sessions.',
      profile: { sharedSkipsAway: isWhole },
    }
  },
}

export const SHARED_NOBODY: DoctorQuestion = {
  id: 'shared-nobody',
  question: 'Are messages kept while all members of a shared subscription are away?',
  async run(visit) {
    const who = { id: visit.newId(), keeps: true }
    const before = await visit.open(who)
    await joins(visit, before)
    await publishJobs(visit, ['there'])
    await visit.comes(before, 'a message of a shared subscription', () =>
      hasPayload(before.messages, 'there'),
    )
    await before.close()
    await publishJobs(visit, ['kept'])
    const after = await visit.open(who)
    const came = await visit.mayCome(after, () => hasPayload(after.messages, 'kept'))
    return {
      answer: came ? 'yes' : 'no',
      reliable: came,
      meaning: came
        ? 'Work waits for the first process that comes back.'
        : 'Work that is published while no process runs is lost.',
      profile: { sharedKept: came },
    }
  },
}
