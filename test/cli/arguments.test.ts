/**
 * Goal: the words of a command line mean what the user of the mosquitto clients means, or are
 * refused with the words to write instead. Method: tables, without a process or a server.
 */
import type { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { prepareArguments } from '../../src/cli/arguments.ts'
import { examplesOf } from '../../src/cli/examples.ts'
import { type ConnectionFlags, connectionOptions, topicOfUrl } from '../../src/cli/flags.ts'
import { HABITS } from '../../src/cli/habits.ts'
import { type MessageFlags, messageFrom } from '../../src/cli/message-flags.ts'
import { programFor } from '../../src/cli/program.ts'
import type { EventloopOptions } from '../../src/index.ts'
import { optionOf } from '../docs/cli-page.ts'

const FLAGS: ConnectionFlags = { disconnectTimeout: 1 }
const PROGRAM = await programFor([])
const prepared = (line: string) => prepareArguments(line.split(' '), PROGRAM).join(' ')

/** Parses a line; no command runs. */
async function parsed(line: string | readonly string[]): Promise<void> {
  const program = await programFor([])
  const silence = (command: Command) => {
    command.exitOverride().configureOutput({ outputError: () => {} })
    if (command.commands.length === 0) command.action(() => {})
    command.commands.forEach(silence)
  }
  silence(program)
  const words = typeof line === 'string' ? line.split(' ') : line
  // Without a configuration file of this machine, and without the flags being settled.
  ;(program as unknown as { _lifeCycleHooks: object })._lifeCycleHooks = {}
  await program.parseAsync(prepareArguments(words, program), { from: 'user' })
}

describe('[CLI] the words', () => {
  test.each([
    ['pub -q 1 a b', 'pub -q 1 a b'],
    ['pub mqtt://h a b', 'pub --url mqtt://h a b'],
    ['-c plant sub mqtt://h a', '-c plant sub --url mqtt://h a'],
    ['--config sub sub -c -i me a', '--config sub sub -c -i me a'],
    ['retained list mqtts://h #', 'retained list --url mqtts://h #'],
    ['pub --pw x --id me --keepalive 9 a b', 'pub --password x --client-id me --keep-alive 9 a b'],
    ['pub --cafile=x --ca=y a b', 'pub --cafile=x --cafile=y a b'],
    ['pub -m --pw -t --id', 'pub -m --pw -t --id'],
    ['sub -vF --pw a', 'sub -vF --pw a'],
    ['pub a b -- --pw', 'pub a b -- --pw'],
    ['pub --profile plant -t a -m x', '--profile plant pub -t a -m x'],
    ['retained list --config=x #', '--config=x retained list #'],
    ['pub -t a -m --profile', 'pub -t a -m --profile'],
    ['sub -i me -c a', 'sub -i me -c a'],
    ['bench pub -c 2 -t a', 'bench pub -c 2 -t a'],
    ['pub -D publish content-type x a', 'pub -D ["publish","content-type","x"] a'],
    ['pub -D will user-property -D -P a', 'pub -D ["will","user-property","-D","-P"] a'],
  ])('%s', (given, expected) => {
    expect(prepared(given)).toBe(expected)
  })

  test('an option without equal is refused by its name', () => {
    expect(() => prepared('pub --tls-engine x')).toThrow(/^--tls-engine: .*--key/)
  })

  test.each(['pub -c plant -t a -m x', 'pub -i me -c plant a x', 'sub -vc plant -i me -t a'])(
    '[CLI] P13: %s names the way to write a profile',
    (line) => {
      expect(() => prepared(line)).toThrow(/^-c plant: .*--profile plant/)
    },
  )

  test.each([
    ['pub -t a -t b -m x', /^-t, --topic is given twice/],
    ['pub -t a -m x --message y', /^-m, --message is given twice/],
    ['sub -q 1 --qos=2 a', /^-q, --qos is given twice/],
    ['-c a -c b sub a', /^-c, --profile is given twice/],
    ['pub -P xyzzy --pw other a b', /^-P, --password is given twice, with [^yz]*$/],
    ['retained save -o a -o b #', /^-o, --output is given twice/],
    ['sub -D publish content-type x a', /^-D publish: .*subscribe/],
    ['pub -D subscribe user-property x y a b', /^-D subscribe: .*publish/],
  ])('[CLI] P13: %s is refused, so that nothing is lost in silence', async (line, message) => {
    await expect(parsed(line)).rejects.toThrow(message)
  })

  test.each(['pub -t a -t a -m x', 'sub -t a -t b -U c -U d -T e -T f', 'sub -v -v a'])(
    '[CLI] P13: %s loses nothing',
    (line) => parsed(line),
  )

  test('[CLI] every command has three examples that the parser takes', async () => {
    const all = (command: Command): Command[] => [command, ...command.commands.flatMap(all)]
    for (const command of all(PROGRAM)) {
      const examples = examplesOf(command)
      if (command.commands.length === 0) expect(examples.length, command.name()).toBe(3)
      expect(examples.length, command.name()).toBeGreaterThan(2)
      for (const { line } of examples) {
        const words = /it-mqtt ([^|>)]*)/.exec(line)![1]!.match(/"[^"]*"|'[^']*'|\S+/g)!
        await parsed(words.map((word) => word.replace(/^["']|["']$/g, '')))
      }
    }
  })

  test('the command that the first word names is the only one that is loaded', async () => {
    const commandsFor = async (...words: string[]) =>
      (await programFor(words)).commands.map((one) => one.name())
    const all = PROGRAM.commands.map((one) => one.name())
    for (const name of all) {
      const isAboutAll = ['completion', 'help'].includes(name)
      expect(await commandsFor(name, 'x'), name).toEqual(isAboutAll ? all : [name])
    }
    expect(await commandsFor('--version')).toEqual([])
    for (const words of [[], ['--profile', 'a', 'sub'], ['subscribe'], ['toString']]) {
      expect(await commandsFor(...words)).toEqual(all)
    }
  })

  test('of the commands of a bus, the one that the second word names is the only one', async () => {
    const commandsFor = async (...words: string[]) =>
      (await programFor(['bus', ...words])).commands[0]!.commands.map((one) => one.name())
    const all = await commandsFor()
    expect(all.length).toBeGreaterThan(10)
    for (const name of all) expect(await commandsFor(name, 'x')).toEqual([name])
    for (const words of [['--help'], ['runs'], ['toString']]) {
      expect(await commandsFor(...words)).toEqual(all)
    }
  })

  test('each option of the mosquitto clients has the option of ours that the table names', () => {
    for (const { theirs, commands, ours } of HABITS) {
      if (ours === null) continue
      for (const command of commands) {
        const option = optionOf(PROGRAM, command, ours)
        const letter = /^-\w(?=,|$)/.exec(theirs)?.[0]
        if (letter !== undefined) expect(option.short, theirs).toBe(letter)
      }
    }
  })
})

describe('[CLI] the server', () => {
  const PLACES: readonly (readonly [Partial<ConnectionFlags>, string])[] = [
    [{}, 'mqtt://localhost'],
    [{ host: 'h' }, 'mqtt://h'],
    [{ port: 1884 }, 'mqtt://localhost:1884'],
    [{ host: 'h', port: 8883 }, 'mqtts://h:8883'],
    [{ host: 'h', cafile: 'package.json' }, 'mqtts://h'],
    [{ host: '::1', port: 1884 }, 'mqtt://[::1]:1884'],
    [{ host: '[::1]' }, 'mqtt://[::1]'],
    [{ host: 'fe80::1%eth0' }, 'mqtt://[fe80::1%eth0]'],
    [{ unix: '/tmp/s' }, 'unix:/tmp/s'],
    [{ url: 'ws://h/mqtt' }, 'ws://h/mqtt'],
    [{ url: 'mqtt://u:p@h:1/' }, 'mqtt://u:p@h:1/'],
    [{ L: 'mqtt://u:p@h:1/a/b?c#' }, 'mqtt://u:p@h:1'],
  ]
  test.each(PLACES)('%j is %s', (flags, url) => {
    expect(connectionOptions({ ...FLAGS, ...flags }, null).url).toBe(url)
  })

  test('the path of -L is the topic, with all its characters', () => {
    expect(topicOfUrl({ ...FLAGS, L: 'mqtt://u:p@h:1/a/b?c#' })).toBe('a/b?c#')
    expect(topicOfUrl({ ...FLAGS, url: 'mqtt://h' })).toBeNull()
  })

  const REFUSED: readonly (readonly [Partial<ConnectionFlags>, RegExp])[] = [
    [{ url: 'mqtt://me:xyzzy@h/plant/7' }, /\/plant\/7.*-L.*-t 'plant\/7'/],
    [{ url: 'mqtt://h', port: 1884 }, /-p has no effect beside --url/],
    [{ url: 'mqtt://h', host: 'g' }, /--url and -h/],
    [{ L: 'mqtt://h' }, /-L needs a topic/],
    [{ L: 'ws://me:xyzzy@h/a' }, /-t for the topic/],
    [{ host: 'mqtt://me:xyzzy@h' }, /-h takes a host name/],
    [{ srv: true }, /-h too/],
    [{ host: 'h', srv: true, port: 1884 }, /-p has no effect beside -S/],
    [{ host: '127.0.0.1:1884' }, /-h 127\.0\.0\.1 -p 1884/],
    [{ host: '[::1]:1884' }, /-h \[::1\] -p 1884/],
    [{ host: 'a:b' }, /not "a:b"/],
    [{ host: '' }, /not ""/],
    [{ property: ['["connect","session-expiry-interval","9"]'], sessionExpiry: 9 }, /-x and -D/],
    [
      { property: Array(2).fill('["connect","receive-maximum","9"]') },
      /receive-maximum is given twice/,
    ],
    [{ url: 'mqtt://h', insecure: true }, /--insecure needs.*mqtts/],
    [{ proxy: 'http://me:xyzzy@h' }, /socks5h/],
    [{ host: 'h', psk: 'abc', pskIdentity: 'x' }, /hexadecimal/],
    [{ host: 'h', psk: 'ab' }, /need each other/],
    [{ disableCleanSession: true }, /-i/],
    [{ clientId: 'a', clientIdPrefix: 'b' }, /-i and -I/],
    [{ willRetain: true }, /--will-topic/],
    [{ property: ['["publish","x","1"]'] }, /publish x: expected one of user-property/],
    [{ property: ['["disconnect","reason","1"]'] }, /disconnect/],
    [{ property: ['["publish","topic-alias","1"]'] }, /topic alias/],
    [{ property: ['["connect","receive-maximum"]'] }, /three words/],
    [{ property: ['["connect","receive-maximum","x"]'] }, /whole number/],
    [{ property: ['["publish","content-type","x"]'], mqtt: '311' }, /MQTT 5/],
  ]
  test.each(REFUSED)('%j is refused, without a password in the message', (flags, message) => {
    const attempt = () => connectionOptions({ ...FLAGS, ...flags }, null)
    expect(attempt).toThrow(message)
    expect(attempt).not.toThrow('xyzzy')
  })

  const OPTIONS: readonly (readonly [Partial<ConnectionFlags>, Partial<EventloopOptions>])[] = [
    [{ mqtt: 'mqttv31' }, { protocolVersion: 3 }],
    [{ mqtt: '311' }, { protocolVersion: 4 }],
    [{ property: [] }, { protocolVersion: 5 }],
    [
      { disableCleanSession: true, clientId: 'me' },
      { cleanStart: false, sessionExpiryInterval: 0xffff_ffff },
    ],
    [{ disableCleanSession: true, clientId: 'me', sessionExpiry: 9 }, { sessionExpiryInterval: 9 }],
    [
      {
        disableCleanSession: true,
        clientId: 'me',
        property: ['["connect","session-expiry-interval","9"]'],
      },
      { cleanStart: false, sessionExpiryInterval: 9 },
    ],
    [{ clientIdPrefix: 'a-' }, { clientId: `a-${process.pid}` }],
    [
      { property: ['["connect","user-property","a","1"]', '["connect","user-property","a","2"]'] },
      { properties: { userProperties: { a: ['1', '2'] } } },
    ],
    [{ property: ['["connect","receive-maximum","9"]'] }, { receiveMaximum: 9 }],
    [
      { username: 'u', password: 'p' },
      { username: 'u', password: 'p' },
    ],
  ]
  test.each(OPTIONS)('%j reaches the loop', (flags, options) => {
    expect(connectionOptions({ ...FLAGS, ...flags }, null)).toMatchObject(options)
  })

  test('--insecure with trusted certificates leaves out the names only', () => {
    const given = { ...FLAGS, host: 'h', insecure: true }
    expect(connectionOptions(given, null).tls).toEqual({ rejectUnauthorized: false })
    const tls = connectionOptions({ ...given, cafile: 'package.json' }, null).tls
    expect(tls).not.toHaveProperty('rejectUnauthorized')
    expect(tls?.checkServerIdentity?.('a', {} as never)).toBeUndefined()
  })
})

describe('[CLI] the message', () => {
  const MESSAGES: readonly (readonly [string[], Partial<MessageFlags>, object])[] = [
    [['a', 'b'], {}, { topic: 'a', payload: 'b', qos: 0 }],
    [['b'], { topic: 'a', qos: '2' }, { topic: 'a', payload: 'b', qos: 2 }],
    [[], { topic: 'a', message: '' }, { topic: 'a', payload: '' }],
    [[], { topic: 'a', nullMessage: true }, { payload: '' }],
    [[], { topic: 'a', stdinLine: true }, { payload: null }],
    [[], { L: 'mqtt://h/a/b', message: 'x' }, { topic: 'a/b', payload: 'x' }],
  ]
  test.each(MESSAGES)('%j with %j', async (words, flags, message) => {
    expect(await messageFrom(words, { ...FLAGS, ...flags })).toMatchObject(message)
  })

  const REFUSED: readonly (readonly [string[], Partial<MessageFlags>, RegExp])[] = [
    [[], {}, /topic is missing.*-t/],
    [['a'], {}, /message is missing.*-m.*-n/],
    [['a', 'b'], { topic: 't' }, /-t gives the topic/],
    [['a'], { topic: 't', message: 'm' }, /by itself and -m/],
    [[], { topic: 't', message: 'm', nullMessage: true }, /-m and -n/],
    [[], { topic: 't', L: 'mqtt://h/a', message: 'm' }, /-t and -L/],
  ]
  test.each(REFUSED)('%j with %j is refused', async (words, flags, message) => {
    await expect(messageFrom(words, { ...FLAGS, ...flags })).rejects.toThrow(message)
  })
})
