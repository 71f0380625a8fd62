import { once } from 'node:events'
import { createServer } from 'node:net'

/** The same for every variant. */
export const WORKERS = 3
export const LIMIT_BYTES = 150e6
export const CHECK_INTERVAL_MS = 500
export const USERS = 20

export interface Profile {
  /** What the strict client asks for. */
  readonly mix: 'fast' | 'mixed'
  /** What a worker loses with each request. */
  readonly leakKb: number
}

/** `mix`: 85 % at once, 10 % in 0.2 to 2 s, 5 % in pieces over 1.5 s. */
export const PROFILES: Readonly<Record<string, Profile>> = {
  fast: { mix: 'fast', leakKb: 64 },
  mix: { mix: 'mixed', leakKb: 640 },
}

const PROBE = `${__dirname}/../../../e2e/cluster/programs/probe.js`

/** Variables that change what a variant does by default. */
const STRANGE = /^(PM2_.*|pm_id|NODE_OPTIONS|NODE_ENV|NODE_CLUSTER_SCHED_POLICY|NODE_TEST_CONTEXT)$/

/** @param probeFile - Where the primary, whoever that is, writes what Node tells it of its workers. */
export function environment(
  port: number,
  { leakKb }: Profile,
  probeFile: string,
  longestMs: number,
): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !STRANGE.test(name))
  return {
    ...Object.fromEntries(inherited),
    CPU_COUNT: String(WORKERS),
    CHECK_INTERVAL: String(CHECK_INTERVAL_MS),
    LIMIT_BYTES: String(LIMIT_BYTES),
    LEAK_KB: String(leakKb),
    PORT: String(port),
    NODE_OPTIONS: `--require ${JSON.stringify(PROBE)}`,
    CLUSTER_PROBE: probeFile,
    CLUSTER_OWNER: String(process.pid),
    CLUSTER_LONGEST_MS: String(longestMs),
  }
}

/**
 * A port that nobody has. It lies below those that the system gives to clients: while no worker listens, a client could
 * otherwise be given that very port and meet itself.
 */
export async function freePort(from = 18_080): Promise<number> {
  for (let port = from; port < from + 1000; port += 1) {
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    server.close()
    if (isFree) return port
  }
  throw new Error(`no free port from ${from} on`)
}
