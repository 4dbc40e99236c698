/** Are there shared subscriptions, and what becomes of messages if members come and go? */

import type { Peer, PeerAnswer } from './peer.ts'
import { sureAnswer } from './proofs.ts'
import type { DoctorQuestion } from './question.ts'
import { distinct, type FoundOut, hasPayload, NotKnown, type Visit } from './visit.ts'

/** The reason code that says: there are none. */
const WITHOUT_CODE = 0x9e

const jobOf = (visit: Visit, name = 'job') => visit.topic(name)
const sharedFilter = (visit: Visit, filter = jobOf(visit)) => `$share/doctor/${filter}`

/** Makes a member. @throws NotKnown if it is not granted. */
async function joins(visit: Visit, member: Peer, filter?: string): Promise<void> {
  await visit.grant(member, sharedFilter(visit, filter), 1)
}

async function publishJobs(
  visit: Visit,
  sender: Peer,
  jobs: readonly string[],
  topicOf: (job: string) => string = () => jobOf(visit),
): Promise<void> {
  const answers = await sender.publishTogether(
    jobs.map((job) => [topicOf(job), job, { qos: 1 }] as const),
  )
  if (answers.some(({ kind }) => kind !== 'accepted')) throw new NotKnown('a publish failed')
}

/** @returns the payloads '0', '1' and so on. */
const jobsFrom = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => String(first + i))

export const SHARED: DoctorQuestion = {
  id: 'shared',
  question: 'Are there shared subscriptions?',
  async run(visit) {
    const members: Peer[] = []
    const subscribed = async (filter: string) => {
      const peer = await visit.open()
      const answer = await peer.subscribe(filter, { qos: 1 })
      if (answer.kind === 'accepted' && filter.startsWith('$share/')) members.push(peer)
      return answer
    }
    const ask = () => subscribed(sharedFilter(visit))
    const control = () => subscribed(visit.topic('plain'))
    for (let i = 0; i < 2; i++) {
      const answer = await sureAnswer({ ask, control })
      if (answer.kind !== 'accepted') return withoutShared(answer)
    }
    return sharedReply(visit, members)
  },
}

/** Two rounds: the routes to a group that is new may be made later than those to one client. */
const ROUND = 4

async function sharedReply(visit: Visit, members: readonly Peer[]): Promise<FoundOut> {
  // It sends, and it has an ordinary subscription to the same topic: what comes to it was routed.
  const watcher = await visit.open()
  await visit.grant(watcher, jobOf(visit), 1)
  for (const jobs of [jobsFrom(0, ROUND), jobsFrom(ROUND, ROUND)]) {
    await publishJobs(visit, watcher, jobs)
    const isRouted = () => jobs.every((job) => hasPayload(watcher.messages, job))
    await visit.comes(watcher, 'a message of an ordinary subscription', isRouted)
    for (const member of members) {
      await member.until(
        () => jobs.every((job) => hasPayload(member.messages, job)),
        visit.absenceMs,
      )
    }
    const takers = jobs.map(
      (job) => members.filter(({ messages }) => hasPayload(messages, job)).length,
    )
    if (members.some(({ ended }) => ended !== null)) throw new NotKnown('a connection has ended')
    if (takers.every((count) => count === 1)) return WITH_SHARED
    if (takers.every((count) => count === members.length)) {
      const meaning = 'Each process gets every message; run one of them.'
      return { answer: 'no: each member gets every message', reliable: false, meaning, ...WITHOUT }
    }
    if (takers.some((count) => count > 0)) throw new NotKnown('some messages came, and some not')
  }
  const meaning = 'A filter with $share is granted and brings nothing: do not use it.'
  return { answer: 'no: it is granted, and nothing comes', reliable: false, meaning, ...WITHOUT }
}

const WITHOUT = { profile: { sharedSubscriptions: false } } as const

const WITH_SHARED: FoundOut = {
  answer: 'yes',
  reliable: true,
  meaning: 'Work may be shared among several processes.',
  profile: { sharedSubscriptions: true },
}

/** @throws NotKnown if rights, quotas or a connection that was lost may be the cause. */
function withoutShared({ kind, codes, says }: PeerAnswer): FoundOut {
  const meaning = 'Run one process for each kind of work.'
  if (kind === 'unsent') {
    return { answer: 'no', certainty: 'said', reliable: false, meaning, ...WITHOUT }
  }
  if (kind === 'closed') {
    return { answer: 'no: they end the connection', reliable: false, meaning, ...WITHOUT }
  }
  if (!codes.includes(WITHOUT_CODE)) throw new NotKnown(`a shared subscription got: ${says}`)
  return { answer: 'no: a reason code refuses them', reliable: false, meaning, ...WITHOUT }
}

export const SHARED_LOST: DoctorQuestion = {
  id: 'shared-lost',
  question: 'Does another member get what a lost member has not acknowledged?',
  async run(visit) {
    const sender = await visit.open()
    const dying = await visit.open({ holds: true })
    await joins(visit, dying)
    await publishJobs(visit, sender, ['0'])
    await visit.comes(dying, 'a message of a shared subscription', () =>
      hasPayload(dying.messages, '0'),
    )
    const other = await visit.open()
    await joins(visit, other)
    await dying.cut()
    const way = { sender, topic: jobOf(visit) }
    const came = await visit.mayCome(other, () => hasPayload(other.messages, '0'), way, 2000)
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

/** Brokers choose a member by the sender, by the topic, by turns or by chance. */
const SENDERS = 3
const JOBS_EACH = 3

export const SHARED_AWAY: DoctorQuestion = {
  id: 'shared-away',
  question: 'Does a member that is away get nothing while another one is there?',
  async run(visit) {
    const senders: Peer[] = []
    for (let i = 0; i < SENDERS; i++) senders.push(await visit.open())
    const filter = jobOf(visit, '+')
    const away = await visit.open({ keeps: true })
    await joins(visit, away, filter)
    // A broker that stays with one member stays with this one.
    await publishJobs(visit, senders[0]!, ['first'])
    await visit.comes(away, 'a message of a shared subscription', () =>
      hasPayload(away.messages, 'first'),
    )
    const other = await visit.open()
    await joins(visit, other, filter)
    await away.close()
    const all = jobsFrom(0, SENDERS * JOBS_EACH)
    for (const [i, sender] of senders.entries()) {
      const jobs = all.slice(i * JOBS_EACH, (i + 1) * JOBS_EACH)
      await publishJobs(visit, sender, jobs, (job) => visit.topic(job))
    }
    const got = () => all.filter((job) => hasPayload(other.messages, job)).length
    await other.until(() => got() === all.length, 2 * visit.absenceMs)
    if (other.ended !== null) throw new NotKnown('the connection ended while messages were awaited')
    if (distinct(other.messages).length === 0) {
      throw new NotKnown('nothing came to the member that is there')
    }
    const isWhole = got() === all.length
    return {
      answer: isWhole ? 'yes' : `no, it got ${got()} of ${all.length}`,
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
    const sender = await visit.open()
    const who = { id: visit.newId(), keeps: true }
    const before = await visit.open(who)
    await joins(visit, before)
    await publishJobs(visit, sender, ['there'])
    await visit.comes(before, 'a message of a shared subscription', () =>
      hasPayload(before.messages, 'there'),
    )
    await before.close()
    await publishJobs(visit, sender, ['kept'])
    const after = await visit.open(who)
    if (after.connack?.sessionPresent !== true) throw new NotKnown('the session was not kept')
    const way = { sender, topic: jobOf(visit) }
    const came = await visit.mayCome(after, () => hasPayload(after.messages, 'kept'), way)
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
