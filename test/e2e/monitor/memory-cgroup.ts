import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

interface Kind {
  readonly mountPoint: string
  readonly limitFile: string
  /** What is written to the file for a limit. */
  readonly text: (limit: number) => string
}

const MEMORY: readonly Kind[] = [
  { mountPoint: '/sys/fs/cgroup/memory', limitFile: 'memory.limit_in_bytes', text: String },
  { mountPoint: '/sys/fs/cgroup', limitFile: 'memory.max', text: String },
]
const PERIOD_US = 100_000
const CPU: readonly Kind[] = [
  {
    mountPoint: '/sys/fs/cgroup/cpu',
    limitFile: 'cpu.cfs_quota_us',
    text: (cores) => String(cores * PERIOD_US),
  },
  {
    mountPoint: '/sys/fs/cgroup',
    limitFile: 'cpu.max',
    text: (cores) => `${cores * PERIOD_US} ${PERIOD_US}`,
  },
]

let groups = 0

/** Processes join a group by its `procs` file. */
type Group = { procs: string } | { reason: string }

/** A memory cgroup of the test's own, v1 or v2. Or why there is none. */
export function limitedTo(t: TestContext, limitBytes: number): Group {
  return makeGroup(t, MEMORY, limitBytes)
}

/** A cgroup of the test's own with a CPU quota, v1 or v2. Or why there is none. */
export function quotaOf(t: TestContext, cores: number): Group {
  return makeGroup(t, CPU, cores)
}

function makeGroup(t: TestContext, kinds: readonly Kind[], limit: number): Group {
  if (process.getuid?.() !== 0) return { reason: 'only root may make a cgroup' }
  const kind = kinds.find(({ mountPoint }) => existsSync(join(mountPoint, 'cgroup.procs')))
  if (!kind) return { reason: 'no cgroup file system is mounted where it is wont to be' }
  const group = join(kind.mountPoint, `cmm-e2e-${process.pid}-${++groups}`)
  try {
    mkdirSync(group)
    t.after(() => remove(group))
    writeFileSync(join(group, kind.limitFile), kind.text(limit))
  } catch (error) {
    return { reason: `no cgroup with a limit can be made: ${(error as Error).message}` }
  }
  return { procs: join(group, 'cgroup.procs') }
}

/** A group can be removed when the last of its processes, the programs of the test, has gone. */
async function remove(group: string): Promise<void> {
  for (let attempt = 0; attempt < 250; attempt++) {
    const pids = readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
    if (pids.length === 0) break
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await sleep(20)
  }
  rmdirSync(group)
}
