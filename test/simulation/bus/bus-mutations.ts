/**
 * Deliberate faults of the bus, and the promise that the simulation must find broken. A check that
 * finds none of them is worth nothing.
 */
import type { Fault } from '../faults.ts'

export interface BusFault extends Fault {
  /** The promise that is broken. */
  readonly id: string
}

export const BUS_FAULTS: readonly BusFault[] = [
  {
    id: 'B1',
    name: 'every call is sent again when its link is lost',
    file: 'bus/calling.ts',
    find: "rpc.idempotent === true ? 'lost' : undefined",
    replace: "'lost'",
  },
  {
    id: 'B2',
    name: 'an input is not validated by who executes it',
    file: 'bus/serving.ts',
    find: 'validate.incoming ? await validInput(bus, api, rpc, given) : given',
    replace: 'given',
  },
  {
    id: 'B2',
    name: 'an input is not validated by who sends it',
    file: 'bus/calling.ts',
    find: 'const issues = await issuesIn(bus, rpc.input, input)',
    replace: 'const issues = await issuesIn(bus, rpc.input, "")',
  },
  {
    id: 'B5',
    name: 'all major versions have one topic',
    file: 'bus/bus-names.ts',
    find: '{api.major}`',
    replace: '{1}`',
  },
  {
    id: 'B3',
    name: 'what a handler has thrown is told to the caller',
    file: 'bus/serving.ts',
    find: 'if (failure !== undefined) return failure',
    replace: "return failure ?? { code: 'RESPONDER_FAILED', message: String(error) }",
  },
  {
    id: 'B4',
    name: 'an unknown rpc is not answered',
    file: 'bus/serving.ts',
    find: "answerUnknown && names.length > 0 ? ['+'] : names",
    replace: 'names',
  },
  {
    id: 'B6',
    name: 'a listener begins without the session of its predecessor',
    file: 'bus/listener-core.ts',
    find: 'cleanStart: false,',
    replace: 'cleanStart: true,',
  },
  {
    id: 'B7',
    name: 'an event is acknowledged before it is handled',
    file: 'bus/handler-listener.ts',
    find: 'const outcome = await this.#attempt(event)',
    replace: 'event.message.ack()\n      const outcome = await this.#attempt(event)',
  },
  {
    id: 'B7',
    name: 'what the store knows is handled again',
    file: 'bus/listener-core.ts',
    find: 'if (!(await dedupe.seen(event.dedupeId))) return false',
    replace: 'if ((await dedupe.seen(event.dedupeId)) !== null) return false',
  },
  {
    id: 'B8',
    name: 'an acknowledgement refuses its message',
    file: 'protocol/incoming.ts',
    find: '{ ...waiting, acknowledged: true, reasonCode }',
    replace: '{ ...waiting, acknowledged: true, reasonCode: 0x80 }',
  },
  {
    id: 'B9',
    name: 'an event leaves the outbox before the broker has it',
    file: 'bus/outbox-pump.ts',
    find: 'const outcome = await outcomeOf(',
    replace:
      'await outbox.settled(request, { ok: true } as Outcome)\n      const outcome = await outcomeOf(',
  },
  {
    id: 'B10',
    name: 'a listener is granted before it has subscribed',
    file: 'bus/listener-core.ts',
    find: 'return this.subscription.granted.then(() => {})',
    replace: 'return Promise.resolve()',
  },
  {
    id: 'B11',
    name: 'a poison event is handled once too often',
    file: 'bus/listener-core.ts',
    find: 'if (begun <= maxRedeliveries) return true',
    replace: 'if (begun <= maxRedeliveries + 1) return true',
  },
  {
    id: 'B12',
    name: 'a schema that the broker has lost is not published again',
    file: 'bus/schema/schema-publisher.ts',
    find: 'for (const schema of this.#schemas) schema.isDue = true\n      this.#wake?.()',
    replace: 'this.#wake?.()',
  },
  {
    id: 'B12',
    name: 'a schema is published whatever lies there',
    file: 'bus/schema/published-schema.ts',
    find: 'if (there === own.text && !this.isLease)',
    replace: 'if (false)',
  },
  {
    id: 'B12',
    name: 'a lease ends while its process runs',
    file: 'bus/schema/schema-publisher.ts',
    find: 'if (this.#schemas.some((schema) => schema.isLease)) refreshAt = now + REFRESH_MS',
    replace: '',
  },
  {
    id: 'B13',
    name: 'what breaks a schema is served all the same',
    file: 'bus/schema/published-schema.ts',
    find: 'if (!this.#isApproved) {',
    replace: 'if (this.#made === null) {',
  },
  {
    id: 'B13',
    name: 'an API is served before its schema is compared',
    file: 'bus/schema/schema-publisher.ts',
    find: 'return schema.approved',
    replace: 'return null',
  },
  {
    id: 'B13',
    name: 'nobody is told that a schema is broken',
    file: 'bus/schema/published-schema.ts',
    find: "this.#reportOnce(there, 'SCHEMA_REPLACED', ",
    replace: 'void (',
  },
  {
    id: 'B13',
    name: 'what is compatible is refused',
    file: 'bus/schema/published-schema.ts',
    find: "if (comparison.result !== 'breaking') return comparison",
    replace: "if (comparison.result === 'same') return comparison",
  },
  {
    id: 'B14',
    name: 'what is no schema ends who finds it',
    file: 'bus/schema/published-schema.ts',
    find: "this.#reportOnce(there, 'SCHEMA_UNREADABLE', what)",
    replace: 'throw error',
  },
  {
    id: 'B15',
    name: 'a missing schema is told at each connection',
    file: 'bus/schema/published-schema.ts',
    find: 'if (this.#made !== null || this.#isGivenUp) return this.#made',
    replace: '',
  },
  {
    id: 'B19',
    name: 'a call that has failed is not reported',
    file: 'bus/bus-reports.ts',
    find: 'return ended(run, (error) => report(reportedCode(error, rpc)), report)',
    replace: 'return ended(run, () => {}, report)',
  },
  {
    id: 'B20',
    name: 'a question to all is not heard',
    file: 'bus/control-desk.ts',
    find: "    controlTopic(prefix, '+'),\n",
    replace: '',
  },
  {
    id: 'B21',
    name: 'a process does not enter',
    file: 'bus/bus-presence.ts',
    find: 'if (processes === null || processes.state.entered > 0) return',
    replace: 'if (processes === null || process.length > 0) return',
  },
  {
    id: 'B18',
    name: 'close() does not wait for handlers of events',
    file: 'bus/handler-listener.ts',
    find: '    await this.#idle(timeout)\n',
    replace: '    await this.#idle(0)\n',
  },
  {
    id: 'B22',
    name: 'a run of a task begins while another one goes on',
    file: 'bus/task-steps.ts',
    find: '|| running >= rules.runsMax)',
    replace: ')',
  },
  {
    id: 'B22',
    name: 'times that passed during a run are forgotten',
    file: 'bus/task-steps.ts',
    find: 'return started(rules, { ...seen, running: seen.running - 1 }, input.now)',
    replace:
      'return { state: { ...seen, running: seen.running - 1, waitingAt: null }, effects: [] }',
  },
]
