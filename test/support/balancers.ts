/**
 * Load balancers in front of a broker that cut a connection which is idle for longer than a limit.
 * nginx speaks WebSocket, HAProxy TCP; each is one process in the foreground that ends with its
 * test, has a configuration and a folder of its own, and writes its log to its standard output or
 * error, where a test can read why it cut.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { answers, freePort } from './ports.ts'
import { start, temporaryFolder, until } from './process.ts'

export const IDLE_LIMIT_MS = 3000

/**
 * The path of the program, or undefined if it is not installed. Debian keeps both out of the search
 * path of users.
 */
export const NGINX = found('nginx')
export const HAPROXY = found('haproxy')

function found(name: string): string | undefined {
  return [`/usr/sbin/${name}`, name].find((path) => spawnSync(path, ['-v']).error === undefined)
}

export interface Balancer extends AsyncDisposable {
  readonly port: number
  /** All that it has printed so far. */
  readonly log: string
}

/** nginx in front of a listener for WebSocket. */
export async function startNginx(brokerPort: number): Promise<Balancer> {
  const configure = (port: number, folder: string) => [
    // A single process leaves nothing behind when it is killed.
    'master_process off;',
    'daemon off;',
    'error_log stderr info;',
    `pid ${folder}/pid;`,
    'events {}',
    'http {',
    '  access_log off;',
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (part) => `  ${part}_temp_path ${folder}/${part};`,
    ),
    '  server {',
    `    listen 127.0.0.1:${port};`,
    '    location / {',
    `      proxy_pass http://127.0.0.1:${brokerPort};`,
    '      proxy_http_version 1.1;',
    '      proxy_set_header Upgrade $http_upgrade;',
    '      proxy_set_header Connection "Upgrade";',
    `      proxy_read_timeout ${IDLE_LIMIT_MS}ms;`,
    `      proxy_send_timeout ${IDLE_LIMIT_MS}ms;`,
    '    }',
    '  }',
    '}',
  ]
  // mosquitto opens its listener for WebSocket a moment after the one for TCP.
  await until(() => answers(brokerPort), 'the broker answers')
  return balance(NGINX, configure, (file, folder) => ['-e', 'stderr', '-p', folder, '-c', file])
}

/** HAProxy in front of a listener for TCP. */
export async function startHaproxy(brokerPort: number): Promise<Balancer> {
  const configure = (port: number) => [
    'global',
    '  log stdout format raw local0 info',
    'defaults',
    '  mode tcp',
    '  log global',
    '  option tcplog',
    `  timeout connect ${IDLE_LIMIT_MS}ms`,
    `  timeout client ${IDLE_LIMIT_MS}ms`,
    `  timeout server ${IDLE_LIMIT_MS}ms`,
    'listen mqtt',
    `  bind 127.0.0.1:${port}`,
    `  server broker 127.0.0.1:${brokerPort}`,
  ]
  return balance(HAPROXY, configure, (file) => ['-db', '-f', file])
}

async function balance(
  program: string | undefined,
  configure: (port: number, folder: string) => readonly string[],
  argumentsFor: (file: string, folder: string) => readonly string[],
): Promise<Balancer> {
  if (program === undefined) throw new Error('the load balancer is not installed')
  const folder = temporaryFolder()
  const port = await freePort()
  const file = join(folder.path, 'balancer.conf')
  writeFileSync(file, `${configure(port, folder.path).join('\n')}\n`)
  const child = start(program, argumentsFor(file, folder.path))
  const closed = once(child, 'close')
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (log += chunk))
  const stop = async () => {
    child.kill('SIGKILL')
    await closed
    folder.remove()
  }
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${program} did not start: ${log}`)
      return answers(port)
    }, `${program} answers`)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    port,
    get log() {
      return log
    },
    [Symbol.asyncDispose]: stop,
  }
}
