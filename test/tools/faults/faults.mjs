// What a campaign does to its host. Each fault: `parameters` draws them from the seed; `begin` does it, and returns what ends it, if
// something has to. `takesMemory`: memory of the host's own; under a lowered limit the kernel would kill it for that. `needs`: what
// it cannot do without, of `whyNot` in host.mjs.
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const MB = 1024 * 1024
const DAY_SECONDS = 24 * 3600
/** What fills the disk. */
const FILLER = 'filler'

/** A fault that is an order to the host, which ends it by itself. */
const ordered = (parameters = () => ({})) => ({
  parameters,
  begin: (host, drawn, name) => host.order(name, drawn),
})

const takingMemory = (parameters) => ({ ...ordered(parameters), takesMemory: true })

export const FAULTS = {
  overload: ordered(({ between }) => ({ ms: between(500, 3000) })),
  block: ordered(({ between }) => ({ ms: between(300, 1500) })),
  nativeCall: ordered(({ between }) => ({ rounds: between(200_000, 1_500_000) })),
  leak: takingMemory(({ between }) => ({ mb: between(20, 50), ms: between(500, 3000) })),
  buffers: takingMemory(({ between }) => ({ mb: between(40, 100), ms: between(500, 3000) })),
  nearHeapLimit: takingMemory(({ between }) => ({ ms: between(200, 1500) })),
  descriptors: ordered(({ between }) => ({ ms: between(300, 1500) })),
  hotWorker: ordered(({ between }) => ({ ms: between(500, 2500) })),
  dyingWorker: takingMemory(() => ({ ms: 3000 })),
  update: ordered(({ between }) => ({ threshold: between(20, 90) })),
  dump: {
    ...ordered(({ pick }) => ({ kind: pick(['cpu', 'memory']) })),
    // Not awaited: other faults happen during a dump.
    begin: (host, drawn) => void host.order('dump', drawn).catch(() => undefined),
  },
  restart: {
    parameters: ({ between }) => ({
      ...{ cpuBudget: between(0, 4), memoryBudget: between(0, 2), heapLimit: between(0, 3) > 0 },
    }),
    async begin(host, drawn) {
      await host.order('stop')
      await host.start(drawn)
    },
  },
  endThread: {
    ...ordered(),
    async begin(host) {
      host.threadEnded()
      await host.order('endThread')
    },
  },
  signal: { parameters: () => ({}), begin: (host) => void process.kill(host.pid, 'SIGUSR2') },
  freeze: {
    parameters: ({ between }) => ({ ms: between(200, 2000) }),
    begin(host) {
      process.kill(host.pid, 'SIGSTOP')
      return () => process.kill(host.pid, 'SIGCONT')
    },
  },
  childKilled: {
    parameters: () => ({}),
    begin(host) {
      for (const pid of childrenOf(host.pid)) quietly(() => process.kill(pid, 'SIGKILL'))
    },
  },
  diskFull: {
    needs: 'root',
    parameters: ({ between }) => ({ ms: between(500, 3000) }),
    begin(host) {
      const filler = join(host.disk, FILLER)
      quietly(() => writeFileSync(filler, Buffer.alloc(host.diskMb * MB)))
      return () => quietly(() => rmSync(filler, { force: true }))
    },
  },
  // The monitor makes it again.
  directoryGone: {
    parameters: () => ({}),
    begin: (host) => quietly(() => rmSync(host.directory, { recursive: true, force: true })),
  },
  readOnly: {
    needs: 'root',
    parameters: ({ between }) => ({ ms: between(300, 2000) }),
    begin(host) {
      // Refused while a file is open for writing: then a dump is being written, and the next fault comes.
      if (!quietly(() => execFileSync('mount', ['-o', 'remount,ro', host.disk], { stdio: 'ignore' })))
        return undefined
      return () => {
        execFileSync('mount', ['-o', 'remount,rw', host.disk])
        // What could not be removed in the meantime.
        rmSync(join(host.disk, FILLER), { force: true })
      }
    },
  },
  lessMemory: {
    needs: 'root',
    parameters: ({ between }) => ({ ms: between(500, 2500), leftMb: between(50, 80) }),
    async begin(host, { leftMb }) {
      if (!host.cgroup) return undefined
      host.cgroup.limit(host.cgroup.usage() + leftMb * MB)
      await host.order('dump', { kind: 'memory' })
      return () => host.cgroup.limit(host.memoryMb * MB)
    },
  },
  clockStep: {
    needs: 'clock',
    parameters: ({ between }) => ({ seconds: between(-2 * DAY_SECONDS, 2 * DAY_SECONDS) }),
    begin: (host, { seconds }) => host.stepClock(seconds),
  },
}

function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
  } catch {
    return []
  }
}

/** @returns Whether it was possible: one fault may keep another from happening. */
function quietly(action) {
  try {
    action()
    return true
  } catch {
    return false
  }
}
