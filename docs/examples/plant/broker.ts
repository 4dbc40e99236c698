/** A broker for trying things out: that of the first argument, else one in this process. */
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'

export async function brokerOf(url: string | undefined): Promise<{ url: string; close(): void }> {
  if (url !== undefined) return { url, close: () => {} }
  const broker = await Aedes.createBroker()
  const server = createServer(broker.handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `mqtt://127.0.0.1:${port}`,
    close: () => {
      server.close()
      broker.close()
    },
  }
}
