import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

const kinds = [
  { mountPoint: '/sys/fs/cgroup/memory', limitFile: 'memory.limit_in_bytes' },
  { mountPoint: '/sys/fs/cgroup', limitFile: 'memory.max' },
] as const

let groups = 0

/** A memory cgroup of the test's own, v1 or v2: processes join it by its `procs` file. Or why there is none. */
export function limitedTo(t: TestContext, limitBytes: number): { procs: string } | { reason: string } {
  if (process.getuid?.() !== 0) return { reason: 'only root may make a cgroup' }
  const kind = kinds.find(({ mountPoint }) => existsSync(join(mountPoint, 'cgroup.procs')))
  if (!kind) return { reason: 'no cgroup file system is mounted where it is wont to be' }
  const group = join(kind.mountPoint, `cmm-e2e-${process.pid}-${++groups}`)
  try {
    mkdirSync(group)
    t.after(() => remove(group))
    writeFileSync(join(group, kind.limitFile), String(limitBytes))
  } catch (error) {
    return { reason: `no memory cgroup can be made: ${(error as Error).message}` }
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
