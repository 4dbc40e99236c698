/**
 * Which faults does a test ask for, and which of them does a packet meet?
 *
 * A packet meets the first fault that matches it and is not used up. A dropped packet on a reliable
 * transport is what a broker does that forgets: the client never learns of it.
 */
import { describe, UsageError } from '../errors.ts'
import type { Platform } from '../platform/machine.ts'
import { type FaultKind, type PacketMatch, type PacketRecord, packetTest } from './packet-log.ts'
import type { PacketFromBroker } from './packet-types.ts'

/** How often a fault happens. */
export interface FaultOptions {
  /** How many packets meet it; Infinity for all until `remove()`. Default 1. */
  readonly times?: number | undefined
  /** How many packets that match pass before the first one meets it. Default 0. */
  readonly after?: number | undefined
  /** The probability with which a packet meets it, by the clock's random numbers. Default 1. */
  readonly chance?: number | undefined
}

/** A fault that was asked for. */
export interface Fault {
  /** How many packets have met it so far. */
  readonly count: number
  /** Ends it. */
  remove(): void
}

/** What the broker sends instead of its own answer: packets, or bytes that it sends as they are. */
export type ScriptedAnswer = readonly (PacketFromBroker | Uint8Array)[]

/** The faults of a broker. Each call asks for one; it happens once unless `times` says more. */
export interface Faults {
  /** The broker forgets the packet: it does not handle it, or does not send it. */
  drop(match: PacketMatch, options?: FaultOptions): Fault
  /**
   * The packet is handled or sent `ms` milliseconds later, if its connection still exists. Packets
   * behind it do not wait.
   */
  delay(match: PacketMatch, ms: number, options?: FaultOptions): Fault
  /** The packet is handled twice, or sent twice. */
  duplicate(match: PacketMatch, options?: FaultOptions): Fault
  /**
   * A CONNECT, PUBLISH, SUBSCRIBE or UNSUBSCRIBE is answered with a reason code of MQTT 5, 0x80 to
   * 0xFF; default 0x87, not authorized. Before MQTT 5, CONNECT gets the return code that means the
   * same, SUBSCRIBE 0x80, and a PUBLISH is acknowledged and goes to nobody [MQTT-3.3.5-2].
   */
  refuse(match: PacketMatch, reasonCode?: number, options?: FaultOptions): Fault
  /**
   * The packet is not handled; the client gets `answer` instead, which may be empty. A function is
   * given the packet and returns the answer. A packet without a `messageId` gets that of the packet
   * that it answers, if its type needs one.
   */
  answer(
    match: PacketMatch,
    answer: ScriptedAnswer | ((record: PacketRecord) => ScriptedAnswer),
    options?: FaultOptions,
  ): Fault
  /** The connection is cut without a word, and the packet is neither handled nor sent. */
  kill(match: PacketMatch, options?: FaultOptions): Fault
  /** Ends all faults. */
  clear(): void
}

/** A fault in the list. */
export interface ActiveFault extends Fault {
  readonly kind: FaultKind
  /** Of a delay, in ms. */
  readonly ms: number
  /** Of a refusal. */
  readonly reasonCode: number
  /** The filter of the pattern; only that one of a SUBSCRIBE is refused. */
  readonly topic: string | undefined
  readonly answer: ((record: PacketRecord) => ScriptedAnswer) | null
}

interface ListedFault extends ActiveFault {
  count: number
  readonly test: (record: PacketRecord) => boolean
  readonly chance: number
  toPass: number
  left: number
}

const REFUSABLE: ReadonlySet<string> = new Set(['connect', 'publish', 'subscribe', 'unsubscribe'])

/** The faults of one broker, in the order in which they were asked for. */
export class FaultList implements Faults {
  readonly #clock: Platform
  readonly #faults = new Set<ListedFault>()

  constructor(clock: Platform) {
    this.#clock = clock
  }

  /** @returns the fault that a packet meets, which counts it, or null. */
  take(record: PacketRecord): ActiveFault | null {
    for (const fault of this.#faults) {
      if (!canHappen(fault.kind, record) || !fault.test(record)) continue
      if (fault.toPass > 0) {
        fault.toPass--
        continue
      }
      if (fault.chance < 1 && this.#clock.random() >= fault.chance) continue
      fault.count++
      fault.left--
      if (fault.left <= 0) this.#faults.delete(fault)
      return fault
    }
    return null
  }

  drop(match: PacketMatch, options?: FaultOptions): Fault {
    return this.#add('drop', match, options)
  }

  delay(match: PacketMatch, ms: number, options?: FaultOptions): Fault {
    if (!(ms >= 0)) throw new UsageError(`faults.delay: ms must be 0 or more, not ${describe(ms)}`)
    return this.#add('delay', match, options, { ms })
  }

  duplicate(match: PacketMatch, options?: FaultOptions): Fault {
    return this.#add('duplicate', match, options)
  }

  refuse(match: PacketMatch, reasonCode = 0x87, options?: FaultOptions): Fault {
    if (!Number.isInteger(reasonCode) || reasonCode < 0x80 || reasonCode > 0xff) {
      const given = describe(reasonCode)
      throw new UsageError(`faults.refuse: a reason code is 128 to 255, not ${given}`)
    }
    return this.#add('refuse', match, options, { reasonCode })
  }

  answer(
    match: PacketMatch,
    answer: ScriptedAnswer | ((record: PacketRecord) => ScriptedAnswer),
    options?: FaultOptions,
  ): Fault {
    const give = typeof answer === 'function' ? answer : () => answer
    return this.#add('answer', match, options, { answer: give })
  }

  kill(match: PacketMatch, options?: FaultOptions): Fault {
    return this.#add('kill', match, options)
  }

  clear(): void {
    this.#faults.clear()
  }

  #add(
    kind: FaultKind,
    match: PacketMatch,
    { times = 1, after = 0, chance = 1 }: FaultOptions = {},
    details: Partial<Pick<ActiveFault, 'ms' | 'reasonCode' | 'answer'>> = {},
  ): Fault {
    if (!(times >= 1)) throw new UsageError(`times must be 1 or more, not ${describe(times)}`)
    const fault: ListedFault = {
      ...{ kind, ms: 0, reasonCode: 0, answer: null, ...details },
      topic: typeof match === 'object' ? match.topic : undefined,
      ...{ test: packetTest(match), count: 0, left: times, toPass: after, chance },
      remove: () => {
        this.#faults.delete(fault)
      },
    }
    this.#faults.add(fault)
    return fault
  }
}

/** A refusal and an answer are for packets of a client. */
function canHappen(kind: FaultKind, { direction, packet }: PacketRecord): boolean {
  if (kind === 'answer') return direction === 'toBroker'
  return kind !== 'refuse' || (direction === 'toBroker' && REFUSABLE.has(packet.cmd))
}
