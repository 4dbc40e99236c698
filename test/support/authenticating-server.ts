/**
 * An MQTT 5 server on real sockets that authenticates its clients: at CONNECT, on AUTH 0x19, and
 * when the test calls `challenge`.
 *
 * How it asks is a generator, the mirror image of the client's: it is called with the client's
 * first data, yields a challenge, is given the answer, and returns the server's last data; it
 * throws a `Refusal` to refuse. Publishes are acknowledged meanwhile, and every packet is in the
 * log of its connection, in order.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import mqtt, { type IAuthPacket, type IConnectPacket, type Packet } from 'mqtt-packet'

/** Null stands for no Authentication Data. */
export type Asking = (first: string) => AsyncGenerator<string, string | null, string>

export class Refusal extends Error {}

export interface Passed {
  readonly from: 'client' | 'server'
  readonly packet: Packet
}

interface Scope {
  onTestFinished(done: () => void): void
}

const CONTINUE = 0x18
const AGAIN = 0x19
const NOT_AUTHORIZED = 0x87
const BAD_METHOD = 0x8c

export class AuthenticatingServer {
  readonly method: string
  readonly connections: AuthenticatingConnection[] = []
  /** How clients are asked from now on. */
  asking: Asking
  /** Whether publishes are acknowledged. */
  acknowledges = true
  readonly #server: Server

  private constructor(asking: Asking, method: string) {
    this.asking = asking
    this.method = method
    this.#server = createServer((socket) => {
      this.connections.push(new AuthenticatingConnection(this, socket))
    })
  }

  static async open(
    { onTestFinished }: Scope,
    asking: Asking,
    method = 'SCRAM-SHA-256',
  ): Promise<AuthenticatingServer> {
    const server = new AuthenticatingServer(asking, method)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    onTestFinished(() => {
      for (const connection of server.connections) connection.destroy()
      server.#server.close()
    })
    return server
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get current(): AuthenticatingConnection {
    const last = this.connections.at(-1)
    if (last === undefined) throw new Error('nobody has connected')
    return last
  }

  /** Payloads that arrived, over all connections. */
  get published(): readonly string[] {
    return this.connections.flatMap(({ published }) => published)
  }
}

export class AuthenticatingConnection {
  readonly log: Passed[] = []
  readonly published: string[] = []
  /** The client has closed. */
  closed = false
  readonly #server: AuthenticatingServer
  readonly #socket: Socket
  #connected = false
  #steps: ReturnType<Asking> | null = null

  constructor(server: AuthenticatingServer, socket: Socket) {
    this.#server = server
    this.#socket = socket
    const parser = mqtt.parser({ protocolVersion: 5 })
    parser.on('packet', (packet) => this.#received(packet))
    socket.on('data', (bytes) => parser.parse(bytes))
    // How the client closes is of no interest, only that it does.
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
    })
  }

  /** The names of the packets that the client sent. */
  get commands(): readonly string[] {
    return this.log.filter(({ from }) => from === 'client').map(({ packet }) => packet.cmd)
  }

  /** The authentication data of both sides, in order. */
  get words(): readonly string[] {
    return this.log.flatMap(({ packet }) => dataOf(packet) ?? [])
  }

  /** Reason codes of AUTH, of both sides, in order. */
  get codes(): readonly string[] {
    return this.log.flatMap(({ from, packet }) =>
      packet.cmd === 'auth' ? `${from} ${packet.reasonCode.toString(16)}` : [],
    )
  }

  /** The server begins, which the standard has no rule for. */
  challenge(): void {
    this.#send(this.#auth(CONTINUE, null))
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #received(packet: Packet): void {
    this.log.push({ from: 'client', packet })
    switch (packet.cmd) {
      case 'connect':
        return this.#met(packet)
      case 'auth':
        return this.#authReceived(packet)
      case 'publish':
        this.published.push(packet.payload.toString())
        return this.#acknowledge(packet.qos, packet.messageId)
      case 'pubrel':
        return this.#send({ cmd: 'pubcomp', messageId: packet.messageId! })
      case 'subscribe': {
        const granted = packet.subscriptions.map(({ qos }) => qos)
        return this.#send({ cmd: 'suback', messageId: packet.messageId!, granted })
      }
      case 'pingreq':
        return this.#send({ cmd: 'pingresp' })
    }
  }

  #met(packet: IConnectPacket): void {
    if (packet.properties?.authenticationMethod !== this.#server.method) {
      return this.#disconnect(BAD_METHOD)
    }
    this.#begin(dataOf(packet))
  }

  #authReceived(packet: IAuthPacket): void {
    if (packet.reasonCode === AGAIN || this.#steps === null) return this.#begin(dataOf(packet))
    void this.#advance(this.#steps.next(dataOf(packet) ?? ''))
  }

  #acknowledge(qos: number, messageId: number | undefined): void {
    if (qos === 0 || !this.#server.acknowledges) return
    this.#send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: messageId! })
  }

  #begin(first: string | null): void {
    this.#steps = this.#server.asking(first ?? '')
    void this.#advance(this.#steps.next())
  }

  async #advance(step: Promise<IteratorResult<string, string | null>>): Promise<void> {
    try {
      const { done, value } = await step
      if (done) this.#accept(value)
      else this.#send(this.#auth(CONTINUE, value))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.#disconnect(NOT_AUTHORIZED)
    }
  }

  #accept(lastWord: string | null): void {
    this.#steps = null
    if (this.#connected) return this.#send(this.#auth(0, lastWord))
    this.#connected = true
    const { properties } = this.#auth(0, lastWord)
    this.#send({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties: properties! })
  }

  #disconnect(reasonCode: number): void {
    this.#send(
      this.#connected
        ? { cmd: 'disconnect', reasonCode }
        : { cmd: 'connack', reasonCode, sessionPresent: false },
    )
    this.#socket.end()
  }

  #auth(reasonCode: number, data: string | null): IAuthPacket {
    const authenticationMethod = this.#server.method
    const authenticationData = data === null ? {} : { authenticationData: Buffer.from(data) }
    return {
      cmd: 'auth',
      reasonCode,
      properties: { authenticationMethod, ...authenticationData },
    }
  }

  #send(packet: Packet): void {
    if (!this.#socket.writable) return
    this.log.push({ from: 'server', packet })
    this.#socket.write(mqtt.generate(packet, { protocolVersion: 5 }))
  }
}

function dataOf(packet: Packet): string | null {
  const { authenticationData } = (packet as IAuthPacket).properties ?? {}
  return authenticationData?.toString() ?? null
}

export interface ScramOptions {
  readonly salt?: Buffer
  readonly iterations?: number
  /** The server's part of the nonce. */
  readonly nonce?: () => string
}

const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/**
 * The server's side of SCRAM-SHA-256. An unknown user is refused after the same messages as a known
 * one.
 */
export function scramServer(
  users: ReadonlyMap<string, string>,
  { salt = randomBytes(16), iterations = 4096, nonce = freshNonce }: ScramOptions = {},
): Asking {
  return async function* (first) {
    const [, clientFirst, name, theirs] = /^n,,(n=([^,]+),r=([^,]+))$/.exec(first) ?? []
    if (clientFirst === undefined) throw new Refusal('no client-first')
    const password = users.get(name!.replaceAll('=2C', ',').replaceAll('=3D', '='))
    const both = `${theirs}${nonce()}`
    const serverFirst = `r=${both},s=${salt.toString('base64')},i=${iterations}`

    const answer = yield serverFirst
    const [, clientFinal, echoed, proof] = /^(c=biws,r=([^,]+)),p=(.+)$/.exec(answer) ?? []
    if (password === undefined || echoed !== both) throw new Refusal('not known')
    const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
    const transcript = `${clientFirst},${serverFirst},${clientFinal}`
    const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest()
    if (!proves(Buffer.from(proof!, 'base64'), storedKey, transcript)) throw new Refusal('no proof')
    return `v=${hmac(hmac(salted, 'Server Key'), transcript).toString('base64')}`
  }
}

function freshNonce(): string {
  return randomBytes(18).toString('base64')
}

/** The proof is the client key under the signature: what remains must hash to the stored key. */
function proves(proof: Buffer, storedKey: Buffer, transcript: string): boolean {
  const signature = hmac(storedKey, transcript)
  const clientKey = Buffer.from(proof.map((byte, i) => byte ^ (signature[i] ?? 0)))
  return createHash('sha256').update(clientKey).digest().equals(storedKey)
}
