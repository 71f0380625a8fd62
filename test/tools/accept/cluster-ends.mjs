// The ends that supervisors give a cluster under the mixed load: PM2 in fork mode (SIGINT to each process of the tree), systemd
// (SIGTERM to the group), docker stop (SIGTERM to PID 1, SIGKILL after 10 s). Nothing that was accepted fails: a request that
// has found its connection is answered whole; a connection that nothing accepted any more may be refused or reset.
// CLUSTER_ROUNDS sets how often each, 10 if absent.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { require as requireTs } from 'tsx/cjs/api'

const { RunningCluster } = requireTs('../../e2e/cluster/running-cluster.ts', import.meta.url)
const { Load } = requireTs('../../e2e/cluster/http-client.ts', import.meta.url)

const ROUNDS = Number(process.env.CLUSTER_ROUNDS ?? 10)
const DOCKER_STOP_MS = 10_000
/** Below the time of the supervisor, above the longest request. */
const OPTIONS = { count: 3, killTimeout: 8000, logger: false }
/** Of a connection that is new: nothing has accepted it. */
const NOT_ACCEPTED = new Set(['connect ECONNREFUSED', 'connect ECONNRESET'])

const ends = {
  'PM2 in fork mode': (running) => {
    for (const pid of [running.pid, ...running.livePids()]) process.kill(pid, 'SIGINT')
  },
  'SIGTERM to the group': (running) => process.kill(-running.pid, 'SIGTERM'),
  'docker stop': (running) => {
    const init = Number(readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8'))
    process.kill(init, 'SIGTERM')
    setTimeout(() => running.exit ?? process.kill(init, 'SIGKILL'), DOCKER_STOP_MS).unref()
  },
}

const figures = []
for (const [name, end] of Object.entries(ends)) {
  let sent = 0
  let ok = 0
  for (let round = 0; round < ROUNDS; round++) {
    const undo = []
    try {
      const result = await endUnderLoad({ after: (each) => undo.unshift(each) }, end, name === 'docker stop')
      const lost = Object.entries(result.why).filter(([why]) => !NOT_ACCEPTED.has(why))
      assert.deepEqual(lost, [], name)
      sent += result.sent
      ok += result.ok
    } finally {
      for (const each of undo) await each()
    }
  }
  figures.push(`${name}: ${ok} of ${sent} answered, 0 of the others had been accepted`)
  console.log(figures.at(-1))
}
console.log(`Node ${process.versions.node}: ${ROUNDS} ends of each kind; ${figures.join('; ')}`)

async function endUnderLoad(context, end, isContained) {
  const launcher = isContained ? ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] : []
  const running = await RunningCluster.start(context, { options: OPTIONS }, { launcher })
  await running.allReady()
  const load = new Load(context, running.port, { users: 20, seconds: 600, mix: 'mixed' })
  await wait(4000)
  end(running)
  const { code, signal } = await running.gone(DOCKER_STOP_MS + 5000)
  assert.deepEqual([code, signal], [0, null])
  return load.end()
}

/** Without it the items that need a namespace of their own cannot run. */
execFileSync('unshare', ['--version'])
