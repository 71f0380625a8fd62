import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import ts from 'typescript'

// A suite that stays green when an ingredient of the protocol is taken out shows nothing. Each mutant is a copy of dist/
// with one change; the named test must go red on it, and green on the copy without the change.

interface Mutant {
  readonly without: string
  readonly file: string
  readonly find: string
  readonly put: string
  /** The test that must notice. */
  readonly suite: string
  readonly name: string
}

const MUTANTS: readonly Mutant[] = [
  {
    without: 'the linger',
    file: 'cluster/drain/connections.js',
    find: 'now >= allFrom && idleMs >= GRACE_MS',
    put: 'true',
    suite: 'replacement',
    name: 'an idle keep-alive connection that is used during the drain is served',
  },
  {
    without: 'a close() of its own',
    file: 'cluster/drain/servers.js',
    find: 'server.closeIdleConnections = () => undefined',
    put: 'server.closeIdleConnections()',
    suite: 'replacement',
    name: 'an idle keep-alive connection that is used during the drain is served',
  },
  {
    without: 'the mark on the last response',
    file: 'cluster/drain/last-response.js',
    find: 'response.shouldKeepAlive = false',
    put: 'void 0',
    suite: 'replacement',
    name: 'a busy keep-alive connection leaves within one request',
  },
  {
    without: 'the lease',
    file: 'cluster/plan/replacement.js',
    find: 'if (this.#lease || ready.length < this.settings.count)',
    put: 'if (ready.length === 0)',
    suite: 'replacement',
    name: 'all above the limit in the same moment',
  },
  {
    without: 'waiting for the replacement',
    file: 'cluster/plan/replacement.js',
    find: "if (lease?.phase !== 'starting' || this.roster.slots.get(lease.standIn)?.state !== 'ready')",
    put: "if (lease?.phase !== 'starting')",
    suite: 'replacement',
    name: 'all above the limit in the same moment',
  },
  {
    without: 'one place that restores capacity (it forks on disconnect as well)',
    file: 'cluster/primary.js',
    find: "worker.on('disconnect'",
    put: "worker.on('disconnect', () => node_cluster_1.default.fork()); worker.on('disconnect'",
    suite: 'faults',
    name: "'exit' that comes before 'disconnect' forks once",
  },
  {
    without: 'outliving the primary',
    file: 'cluster/worker.js',
    find: 'this.worker.exitedAfterDisconnect = true',
    put: 'void 0',
    suite: 'leaving',
    name: 'the primary is killed: what is in flight is answered',
  },
  {
    without: 'a word to HTTP/2 clients',
    file: 'cluster/drain/last-response.js',
    find: '(0, time_1.setTimeout)(leave, QUIET_MS).unref()',
    put: 'undefined',
    suite: 'protocols',
    name: 'an idle session is sent GOAWAY soon',
  },
  {
    without: 'the secret in messages from workers',
    file: 'cluster/messages.js',
    find: "own(received, 'secret') !== secret",
    put: 'false',
    suite: 'ipc',
    name: 'json: a worker that forwards what users post forges nothing',
  },
  {
    without: 'the secret in messages from the primary',
    file: 'cluster/messages.js',
    find: "own(received, 'secret') !== secret",
    put: 'false',
    suite: 'ipc',
    name: 'json: a primary that forwards what users post drains no worker',
  },
  {
    without: 'a count of handed sockets',
    file: 'cluster/drain/servers.js',
    find: 'if (socket.closed)',
    put: 'if (true)',
    suite: 'handed-sockets',
    name: 'drained waits for the last answer, and the client is asked to leave',
  },
  {
    without: 'a count of sockets that no server has been given yet',
    file: 'cluster/drain/taps.js',
    find: "message.cmd !== 'NODE_HANDLE'",
    put: 'true',
    suite: 'handed-sockets',
    name: 'a socket that was handed before the drain and is given to the server long after it is served',
  },
  {
    without: 'another worker for sockets that a draining one can no longer serve',
    file: 'cluster/divert-sockets.js',
    find: 'args[1] instanceof',
    put: 'false && args[1] instanceof',
    suite: 'handed-sockets',
    name: 'with requests that never leave a worker without one, it is left out after half of its time',
  },
  {
    without: 'an end to reading datagrams',
    file: 'cluster/drain/datagrams.js',
    find: 'state.handle.recvStop()',
    put: 'void 0',
    suite: 'datagrams',
    name: 'shared: every datagram is answered, however long the answer takes',
  },
]

const ROOT = resolve(__dirname, '../../..')

/** Inside the project, so that the copy finds the packages. */
function copyDist(t: TestContext): string {
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  const copy = mkdtempSync(join(ROOT, 'build/mutant-'))
  t.after(() => rmSync(copy, { recursive: true }))
  cpSync(join(ROOT, 'dist'), copy, { recursive: true })
  // The entry as it was before it was bundled: then it loads the file with the change.
  const entry = readFileSync(join(ROOT, 'src/cluster/index.ts'), 'utf8')
  const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 }
  writeFileSync(join(copy, 'cluster/index.js'), ts.transpileModule(entry, { compilerOptions }).outputText)
  return copy
}

async function runTest(dist: string, { suite, name }: Mutant): Promise<'green' | 'red'> {
  const pattern = name.replace(/[()[\]]/g, '.')
  const file = join(__dirname, `${suite}.test.ts`)
  // A mutant may well hang: its test is to give up long before its file is ended, and to take its processes with it.
  const mutant = { CLUSTER_DIST: join(dist, 'cluster'), CLUSTER_PATIENCE_MS: '15000' }
  const env: NodeJS.ProcessEnv = { ...process.env, ...mutant }
  delete env['NODE_TEST_CONTEXT']
  delete env['NODE_V8_COVERAGE']
  const args = ['--import', 'tsx', '--test', '--test-timeout=100000', `--test-name-pattern=${pattern}`, file]
  const run = spawn(process.execPath, args, {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  run.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(run, 'close')) as [number]
  assert.match(output, new RegExp(`(ok \\d+ -|✔|✖) [^\\n]*${pattern}`), `no test has that name:\n${output}`)
  return code === 0 ? 'green' : 'red'
}

describe('mutants', { concurrency: 2 }, () => {
  for (const mutant of MUTANTS) {
    test(`without ${mutant.without} the suite goes red`, { timeout: 250_000 }, async (t) => {
      const dist = copyDist(t)
      const path = join(dist, mutant.file)
      const source = readFileSync(path, 'utf8')
      assert.equal(source.split(mutant.find).length, 2, `${mutant.find} is to be there once`)
      writeFileSync(path, source.replace(mutant.find, mutant.put))
      assert.equal(await runTest(dist, mutant), 'red')
    })
  }

  test('an unchanged copy stays green', { timeout: 250_000 }, async (t) => {
    const dist = copyDist(t)
    const [mutant] = MUTANTS
    assert.equal(mutant && (await runTest(dist, mutant)), 'green')
  })
})
