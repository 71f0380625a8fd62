// The ends that supervisors give a cluster under the mixed load: PM2 in fork mode, itself (SIGINT to each process of the tree, SIGKILL
// after 12 s), systemd (SIGTERM to the group), docker stop (SIGTERM to PID 1, SIGKILL after 10 s). Nothing that was accepted fails: each
// request that a worker's server has begun, by a list that the workers keep, is answered whole. A connection that no worker accepted any
// more may be refused or reset.
// CLUSTER_ROUNDS sets how often each, 10 if absent. PM2 comes from npm, once.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
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
  'PM2 in fork mode': (running) => process.kill(running.pid, 'SIGINT'),
  'SIGTERM to the group': (running) => process.kill(-running.pid, 'SIGTERM'),
  'docker stop': (running) => {
    const init = Number(readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8'))
    process.kill(init, 'SIGTERM')
    setTimeout(() => running.exit ?? process.kill(init, 'SIGKILL'), DOCKER_STOP_MS).unref()
  },
}

const launchers = {
  'PM2 in fork mode': underPm2,
  'docker stop': () => ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'],
}

const figures = []
for (const [name, end] of Object.entries(ends)) {
  let sent = 0
  let ok = 0
  for (let round = 0; round < ROUNDS; round++) {
    const undo = []
    try {
      const result = await endUnderLoad({ after: (each) => undo.unshift(each) }, end, launchers[name]?.())
      const others = Object.entries(result.why).filter(([why]) => !NOT_ACCEPTED.has(why))
      assert.deepEqual(others, [], name)
      assert.ok(result.accepted.size >= result.ok, 'the list has what was answered')
      const lost = result.failedIds.filter((id) => result.accepted.has(id))
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

async function endUnderLoad(context, end, launcher = []) {
  const directory = mkdtempSync(join(tmpdir(), 'ends-'))
  context.after(() => rmSync(directory, { recursive: true }))
  const ACCEPTED_FILE = join(directory, 'accepted')
  const running = await RunningCluster.start(
    context,
    { options: OPTIONS },
    { launcher, env: { ACCEPTED_FILE } },
  )
  await running.allReady()
  const load = new Load(context, running.port, { users: 20, seconds: 600, mix: 'mixed' })
  await wait(4000)
  end(running)
  const { code, signal } = await running.gone(DOCKER_STOP_MS + 5000)
  assert.deepEqual([code, signal], [0, null])
  const result = await load.end()
  return { ...result, accepted: new Set(readFileSync(ACCEPTED_FILE, 'utf8').split('\n')) }
}

/**
 * PM2 without a daemon of its own. It gives the application its IPC channel as descriptor 3, where the test reads the events: the
 * script that it starts moves the channel, and writes the events to a FIFO.
 */
function underPm2() {
  const prefix = fileURLToPath(new URL('programs/.built/pm2', import.meta.url))
  const pm2 = join(prefix, 'node_modules/pm2/bin/pm2-runtime')
  if (!existsSync(pm2)) {
    mkdirSync(prefix, { recursive: true })
    const options = ['--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--prefix', prefix]
    execFileSync('npm', ['install', ...options, 'pm2@7'], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  const [script, events] = [join(prefix, 'start.sh'), join(prefix, 'events')]
  writeFileSync(script, `exec 9>&3 3>${events}\nexport NODE_CHANNEL_FD=9\nexec "$@"\n`)
  const settings = `PM2_HOME=${join(prefix, 'home')} PM2_KILL_TIMEOUT=12000`
  const start = `${process.execPath} ${pm2} start ${script} --interpreter bash --raw --no-autorestart`
  const fifo = `rm -f ${events}; mkfifo ${events}; cat ${events} >&3 &`
  return ['sh', '-c', `${fifo} ${settings} exec ${start} -- "$0" "$@"`]
}

/** Without it the items that need a namespace of their own cannot run. */
execFileSync('unshare', ['--version'])
