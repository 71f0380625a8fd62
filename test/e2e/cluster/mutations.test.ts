import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import ts from 'typescript'

// A suite that stays green when an ingredient of the protocol is taken out shows nothing. Each mutant is a copy of the
// project with one change; the named test must go red on it, and green on the copy without the change.

interface Mutant {
  readonly without: string
  /** Below `dist/` for a process test, below `src/` for one that loads the source. */
  readonly file: string
  readonly find: string
  readonly put: string
  /** The file of the test that must notice, below `test/`, and its name. */
  readonly suite: string
  readonly name: string
}

const MUTANTS: readonly Mutant[] = [
  {
    without: 'the token that a dump gives back that was not begun',
    file: 'dist/cluster/worker.js',
    find: 'if (isBegun === false)',
    put: 'if (false)',
    suite: 'e2e/cluster/dump',
    name: 'where a neighbour under the same memory limit keeps its turn, a worker waits for half of the deadline and goes with code 0, with a line',
  },
  {
    without: 'the linger',
    file: 'dist/cluster/drain/connections.js',
    find: 'now >= allFrom && idleMs >= GRACE_MS',
    put: 'true',
    suite: 'e2e/cluster/replacement',
    name: 'an idle keep-alive connection that is used during the drain is served',
  },
  {
    without: 'a close() of its own',
    file: 'dist/cluster/drain/servers.js',
    find: 'server.closeIdleConnections = () => undefined',
    put: 'server.closeIdleConnections()',
    suite: 'e2e/cluster/replacement',
    name: 'an idle keep-alive connection that is used during the drain is served',
  },
  {
    without: 'the mark on the last response',
    file: 'dist/cluster/drain/last-response.js',
    find: 'response.shouldKeepAlive = false',
    put: 'void 0',
    suite: 'e2e/cluster/replacement',
    name: 'a busy keep-alive connection leaves within one request',
  },
  {
    without: 'the lease',
    file: 'dist/cluster/plan/replacement.js',
    find: 'if (this.#lease || ready.length < this.settings.count)',
    put: 'if (ready.length === 0)',
    suite: 'e2e/cluster/replacement',
    name: 'all above the limit in the same moment',
  },
  {
    without: 'waiting for the replacement',
    file: 'dist/cluster/plan/replacement.js',
    find: "if (lease?.phase !== 'starting' || this.roster.slots.get(lease.standIn)?.state !== 'ready')",
    put: "if (lease?.phase !== 'starting')",
    suite: 'e2e/cluster/replacement',
    name: 'all above the limit in the same moment',
  },
  {
    without: 'one place that restores capacity (it forks on disconnect as well)',
    file: 'dist/cluster/primary.js',
    find: "worker.on('disconnect'",
    put: "worker.on('disconnect', () => node_cluster_1.default.fork()); worker.on('disconnect'",
    suite: 'e2e/cluster/faults',
    name: "'exit' that comes before 'disconnect' forks once",
  },
  {
    without: 'outliving the primary',
    file: 'dist/cluster/worker.js',
    find: 'this.worker.exitedAfterDisconnect = true',
    put: 'void 0',
    suite: 'e2e/cluster/leaving',
    name: 'the primary is killed: what is in flight is answered',
  },
  {
    without: 'a word to HTTP/2 clients',
    file: 'dist/cluster/drain/last-response.js',
    find: '(0, time_1.setTimeout)(leave, QUIET_MS).unref()',
    put: 'undefined',
    suite: 'e2e/cluster/protocols',
    name: 'an idle session is sent GOAWAY soon',
  },
  {
    without: 'the secret in messages from workers',
    file: 'dist/cluster/messages.js',
    find: "own(received, 'secret') !== secret",
    put: 'false',
    suite: 'e2e/cluster/ipc',
    name: 'json: a worker that forwards what users post forges nothing',
  },
  {
    without: 'the secret in messages from the primary',
    file: 'dist/cluster/messages.js',
    find: "own(received, 'secret') !== secret",
    put: 'false',
    suite: 'e2e/cluster/ipc',
    name: 'json: a primary that forwards what users post drains no worker',
  },
  {
    without: 'a count of handed sockets',
    file: 'dist/cluster/drain/servers.js',
    find: 'if (socket.closed)',
    put: 'if (true)',
    suite: 'e2e/cluster/handed-sockets',
    name: 'drained waits for the last answer, and the client is asked to leave',
  },
  {
    without: 'a count of sockets that no server has been given yet',
    file: 'dist/cluster/drain/taps.js',
    find: "message.cmd !== 'NODE_HANDLE'",
    put: 'true',
    suite: 'e2e/cluster/handed-sockets',
    name: 'a socket that was handed before the drain and is given to the server long after it is served',
  },
  {
    without: 'another worker for sockets that a draining one can no longer serve',
    file: 'dist/cluster/divert-sockets.js',
    find: 'args[1] instanceof',
    put: 'false && args[1] instanceof',
    suite: 'e2e/cluster/handed-sockets',
    name: 'with requests that never leave a worker without one, it is left out after half of its time',
  },
  {
    without: 'an end to reading datagrams',
    file: 'dist/cluster/drain/datagrams.js',
    find: 'state.handle.recvStop()',
    put: 'void 0',
    suite: 'e2e/cluster/datagrams',
    name: 'shared: every datagram is answered, however long the answer takes',
  },
  {
    without: 'a count of handed sockets over TLS',
    file: 'dist/cluster/drain/servers.js',
    find: 'if (socket.closed)',
    put: 'if (socket.closed || !server || (0, taps_1.isTls)(server))',
    suite: 'e2e/cluster/handed-sockets',
    name: 'HTTP/1.1 over TLS (https)',
  },
  {
    without: 'a count of handed sockets of HTTP/2',
    file: 'dist/cluster/drain/servers.js',
    find: 'if (socket.closed)',
    put: 'if (socket.closed || !server || !(0, taps_1.isHttp1)(server))',
    suite: 'e2e/cluster/handed-sockets',
    name: 'HTTP/2 (h2c): a stream is finished, and the client gets a GOAWAY',
  },
  {
    without: 'a watch on HTTP/2 sessions',
    file: 'dist/cluster/drain/servers.js',
    find: "server.on('session', this.#addSession)",
    put: 'void 0',
    suite: 'e2e/cluster/handed-sockets',
    name: 'HTTP/2 (h2): a stream is finished, and the client gets a GOAWAY',
  },
  {
    without: 'a look at the bytes within TLS',
    file: 'dist/cluster/drain/servers.js',
    find: "(0, taps_1.isTls)(server) ? 'secureConnection' : 'connection'",
    put: "'connection'",
    suite: 'e2e/cluster/protocols',
    name: 'TLS: connections that never carried a request end with the linger',
  },
  {
    without: "a look at the kernel's queue of a listener of the worker's own",
    file: 'dist/cluster/drain/servers.js',
    find: 'if (this.#own.has(server))',
    put: 'if (false)',
    suite: 'e2e/cluster/handed-sockets',
    name: 'exclusive: connections that wait in the kernel at the order to drain are accepted and served',
  },
  {
    without: "the linger of connections to a listener of the worker's own",
    file: 'dist/cluster/drain/servers.js',
    find: 'server.closeIdleConnections = () => undefined',
    put: 'server.closeIdleConnections()',
    suite: 'e2e/cluster/handed-sockets',
    name: 'exclusive: one of three workers is replaced under requests: none that was accepted fails, and the others serve on',
  },
  {
    without: 'an end of streams that stand for connections, as of socket.io',
    file: 'src/cluster/drain/servers.ts',
    find: ".once('finish', end)",
    put: '',
    suite: 'unit/cluster/drain/servers',
    name: 'a stream that stands for a connection is waited for until its last answer is out',
  },
  {
    without: 'a farewell in headers that the application writes as a list',
    file: 'dist/cluster/drain/last-response.js',
    find: 'overruleKeepAlive() {',
    put: 'overruleKeepAlive() { return;',
    suite: 'e2e/cluster/protocols',
    name: 'an application that writes Connection: keep-alive itself (list) is overruled while it drains',
  },
  {
    without: 'the headers of a list',
    file: 'src/cluster/drain/last-response.ts',
    find: 'return closeInList(given)',
    put: 'return { ...given }',
    suite: 'unit/cluster/drain/last-response',
    name: 'the other headers stay: a flat list with a list as value',
  },
  {
    without: 'the headers of a list of pairs',
    file: 'src/cluster/drain/last-response.ts',
    find: 'if (Array.isArray(list[0]))',
    put: 'if (list.length === 0)',
    suite: 'unit/cluster/drain/last-response',
    name: 'the other headers stay: a list of pairs',
  },
  {
    without: 'messages that Node keeps from the application',
    file: 'dist/cluster/messages.js',
    find: "COMMAND = 'NODE_CPU_MEMORY_MONITOR'",
    put: "COMMAND = 'CPU_MEMORY_MONITOR'",
    suite: 'e2e/cluster/ipc',
    name: 'json: the application hears its own messages on every channel, and none of ours',
  },
  {
    without: 'an order to stop for a worker that calls run late',
    file: 'dist/cluster/plan/reconciler.js',
    find: "this.#roster.order(slot.key, 'stop')",
    put: 'void 0',
    suite: 'e2e/cluster/leaving',
    name: 'SIGTERM while a worker has yet to call run: it drains as soon as it does',
  },
  {
    without: 'a word for a worker file that never calls run()',
    file: 'dist/cluster/plan/reconciler.js',
    find: 'if (!slot.joined)',
    put: 'if (false)',
    suite: 'e2e/cluster/ipc',
    name: 'has a cause of its own and a line that names the file',
  },
  {
    without: 'a word for a runFunc that does not settle',
    file: 'dist/cluster/report.js',
    find: "if (cause !== 'start-timeout')",
    put: 'if (true)',
    suite: 'e2e/cluster/faults',
    name: 'a worker whose runFunc does not settle in time gets SIGKILL, with a line that reports so',
  },
  {
    without: 'a word for a foreign primary',
    file: 'dist/cluster/worker.js',
    find: 'this.#warnOfForeignPrimary();',
    put: 'void 0;',
    suite: 'e2e/cluster/application',
    name: 'a primary that knows nothing of run gets no message; one line of its worker says that it is not replaced',
  },
  {
    without: 'a drain at the signal of a foreign primary',
    file: 'dist/cluster/worker.js',
    find: "this.#drain('stop', false)",
    put: 'void 0',
    suite: 'e2e/cluster/application',
    name: 'a worker of such a primary drains on SIGINT: no other order will come',
  },
  {
    without: "a word for a limit above V8's",
    file: 'dist/cluster/primary.js',
    find: 'unlikely === undefined ?',
    put: 'true ?',
    suite: 'e2e/cluster/heap-limit',
    name: "a limit above V8's is reported at start with both numbers, one below is not",
  },
  {
    without: 'a word for a dump that the budget does not allow',
    file: 'dist/cluster/primary.js',
    find: 'if (!isGranted)',
    put: 'if (false)',
    suite: 'e2e/cluster/dump',
    name: 'all workers share one budget, and a line reports a dump that it does not allow',
  },
  {
    without: 'a word for a directory that cannot be written',
    file: 'dist/cluster/worker.js',
    find: 'this.#warnOfDirectory(dump.directory)',
    put: 'void 0',
    suite: 'e2e/cluster/dump',
    name: 'a directory that cannot be written to is reported once at start and at each dump, and the worker goes with code 0',
  },
  {
    without: 'a word for a worker that is cut while the cluster stops',
    file: 'dist/cluster/primary.js',
    find: 'this.#reportCut(key, { code, signal })',
    put: 'void 0',
    suite: 'e2e/cluster/leaving',
    name: 'SIGTERM while a request takes longer than killTimeout: it is cut, and a line reports its worker',
  },
  {
    without: 'a word of a worker that is cut and has no primary',
    file: 'dist/cluster/worker.js',
    find: 'this.#report.warn((0, report_1.unfinishedLine)(process.pid, this.settings.killTimeoutMs))',
    put: 'void 0',
    suite: 'e2e/cluster/leaving',
    name: 'an orphan that cannot finish ends itself at killTimeout, and reports so',
  },
  {
    without: 'a word for a dump that is cut',
    file: 'dist/cluster/worker.js',
    find: 'this.#report.warn((0, report_1.lateDumpLine)(process.pid, deadlineMs, isWritten))',
    put: 'void 0',
    suite: 'e2e/cluster/dump',
    name: 'writing that takes longer than its deadline is cut, with a line, and has delayed no replacement',
  },
  {
    without: 'silence on the requests of a worker that had none',
    file: 'dist/cluster/primary.js',
    find: 'if (slot.rssBytes === 0)',
    put: 'if (false)',
    suite: 'e2e/cluster/leaving',
    name: 'SIGTERM while workers have yet to call run and die of it: no line speaks of their requests',
  },
  {
    without: 'socket files among the addresses',
    file: 'dist/cluster/drain/addresses.js',
    find: 'return address ?? undefined',
    put: 'return undefined',
    suite: 'e2e/cluster/faults',
    name: 'the only worker, with a socket file of its own, is not replaced: the line names what is missing',
  },
  {
    without: 'turns in the monitor',
    file: 'dist/watch/watch.js',
    find: ', takeTurn: waitForTurn',
    put: '',
    suite: 'e2e/monitor/turns',
    name: 'a dump that is due waits, and spends its token when that process has ended, on the main thread',
  },
  {
    without: 'turns in a worker',
    file: 'dist/cluster/dump/worker-dump.js',
    find: 'takeTurn: (early) =>',
    put: 'takesNoTurn: (early) =>',
    suite: 'e2e/cluster/dump',
    name: 'while a neighbour under the same memory limit takes a heap dump, a worker waits with its own',
  },
  {
    without: 'an end to the wait of a worker',
    file: 'dist/cluster/dump/worker-dump.js',
    find: 'longestMs: deadlineMs / 2',
    put: 'longestMs: deadlineMs * 2',
    suite: 'e2e/cluster/dump',
    name: 'where a neighbour under the same memory limit keeps its turn, a worker waits for half of the deadline and goes with code 0, with a line',
  },
  {
    without: 'a word for a worker that had no turn',
    file: 'dist/cluster/dump/worker-dump.js',
    find: "skip === 'busy'",
    put: 'false',
    suite: 'e2e/cluster/dump',
    name: 'where a neighbour under the same memory limit keeps its turn, a worker waits for half of the deadline and goes with code 0, with a line',
  },
  {
    without: 'one turn for all processes below a memory limit',
    file: 'dist/system/turn.js',
    find: '(read)).at(-1)',
    put: '(read)).at(0)',
    suite: 'unit/system/turn',
    name: 'is the same in all cgroups below one limit, whatever limits of their own they have',
  },
  {
    without: 'a turn of its own for each memory limit',
    file: 'dist/system/turn.js',
    find: '/${dev}:${ino}`',
    put: '/all`',
    suite: 'unit/system/turn',
    name: 'is another one below another limit',
  },
  {
    without: 'an end of the place with the wait',
    file: 'dist/system/turn.js',
    find: 'queue.leave()',
    put: 'void 0',
    suite: 'unit/system/turn',
    name: 'keeps its place in the queue for as long as it is waited for, and no longer',
  },
  {
    without: 'an end to the wait without a turn',
    file: 'dist/system/turn.js',
    find: 'if (isLate)',
    put: 'if (isLate) return nothing; if (false)',
    suite: 'unit/system/turn',
    name: 'of a neighbour is waited for until the time is over',
  },
  {
    without: 'places in the queue',
    file: 'dist/system/turn.js',
    find: 'if (!next)',
    put: 'if (!next) return true; if (false)',
    suite: 'unit/system/turn',
    name: 'is for who came first, and who comes when it is free does not overtake those who wait',
  },
  {
    without: 'a bound for who only holds a place',
    file: 'dist/system/turn.js',
    find: 'queue.advance() || isLast',
    put: 'queue.advance()',
    suite: 'unit/system/turn',
    name: 'is had soon where another user, or a process that is stopped, holds a place before it',
  },
  {
    without: 'an end to turns of other users',
    file: 'dist/system/turn.js',
    find: "who === 'other'",
    put: 'false',
    suite: 'unit/system/turn',
    name: 'cannot be had by another user: a name that one occupies stops nothing',
  },
  {
    without: 'a new look at who has the turn once the holder has ended',
    file: 'dist/system/turn.js',
    find: 'this.#connection && this.#sockets.isConnected(this.#connection)',
    put: 'this.#connection',
    suite: 'unit/system/turn',
    name: 'cannot be had by another user who takes the name from a neighbour that ends',
  },
  {
    without: 'a look at the memory after the turn, not before it',
    file: 'src/dispatch/dump-once.ts',
    find: 'const endTurn = await dump.takeTurn(dump.early)',
    put: 'await dump.capturer.plan(dump.directory); const endTurn = await dump.takeTurn(dump.early)',
    suite: 'unit/dispatch/dump-once',
    name: 'a dump that takes turns is planned in its turn, which ends with it',
  },
  {
    without: 'a skip that costs no token when no turn came',
    file: 'src/dispatch/dump-once.ts',
    find: 'if (!endTurn) return',
    put: 'await dump.begin(); if (!endTurn) return',
    suite: 'unit/dispatch/dump-once',
    name: 'without a turn it is busy, and never begins: no token is spent',
  },
  {
    without: 'an end of the turn when the capture fails',
    file: 'src/dispatch/dump-once.ts',
    find: '  } finally {',
    put: '  } catch (error) { throw error } {',
    suite: 'unit/dispatch/dump-once',
    name: 'the turn ends as well when the capture fails',
  },
  {
    without: 'the cause in an inspector error',
    file: 'src/thread/over-inspector.ts',
    find: 'exception?.description ??',
    put: '',
    suite: 'unit/thread/over-inspector',
    name: 'the cause of a failed evaluation is the error, and never the bare word "Uncaught"',
  },
  {
    without: 'the hook in the main vm context',
    file: 'dist/dispatch/gate.js',
    find: "(0, node_vm_1.runInThisContext)('globalThis')",
    put: 'globalThis',
    suite: 'e2e/monitor/vm-context',
    name: 'dumps and stops, watched on its own thread',
  },
  {
    without: 'the cause of a missing directory below a read-only mount',
    file: 'dist/capture/heap/ladder.js',
    find: '(0, directory_1.makeDirectory)(directory)',
    put: 'void 0',
    suite: 'e2e/monitor/faults',
    name: "a directory that is missing below a read-only mount: the failure is the mount's, on its own thread",
  },
]

const ROOT = resolve(__dirname, '../../..')
/** What the tests need of the project. */
const PARTS = ['dist', 'prebuilds', 'src', 'test/e2e', 'test/harness', 'test/unit', 'package.json']
const isNeeded = (path: string) => !path.endsWith('.map')
/** Entries that the build bundles. In a copy they are as before: then they load the file with the change. */
const BUNDLED = [
  'index',
  'cluster/index',
  'thread/watchdog-thread',
  'monitor/start/start',
  'capture/heap/limit/job',
]

/** Inside the project, so that the copy finds the packages. */
function copyProject(t: TestContext): string {
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  const copy = mkdtempSync(join(ROOT, 'build/mutant-'))
  t.after(() => rmSync(copy, { recursive: true }))
  for (const part of PARTS) cpSync(join(ROOT, part), join(copy, part), { recursive: true, filter: isNeeded })
  const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 }
  for (const entry of BUNDLED) {
    const source = readFileSync(join(ROOT, `src/${entry}.ts`), 'utf8')
    writeFileSync(join(copy, `dist/${entry}.js`), ts.transpileModule(source, { compilerOptions }).outputText)
  }
  return copy
}

/** @returns The outcome of each of the tests, in their order, or the reason for which one was skipped. */
async function runTests(copy: string, suite: string, names: readonly string[]): Promise<readonly string[]> {
  // A mutant may well hang: its test is to give up long before its file is ended, and to take its processes with it.
  const env: NodeJS.ProcessEnv = { ...process.env, CLUSTER_PATIENCE_MS: '15000' }
  delete env['NODE_TEST_CONTEXT']
  delete env['NODE_V8_COVERAGE']
  const patterns = names.map((name) => `--test-name-pattern=${patternOf(name)}`)
  const options = ['--import', 'tsx', '--test', '--test-reporter=tap', '--test-timeout=100000']
  const run = spawn(process.execPath, [...options, ...patterns, `test/${suite}.test.ts`], {
    cwd: copy,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  run.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  await once(run, 'close')
  return names.map((name) => {
    const lines = output.match(new RegExp(`^ *(not )?ok \\d+ - .*${patternOf(name)}.*$`, 'gm')) ?? []
    const ran = lines.filter((line) => !line.endsWith(NOT_ASKED_FOR))
    assert.ok(ran.length > 0, `no test has the name ${name}:\n${output}`)
    if (ran.some((line) => line.trim().startsWith('not'))) return 'red'
    return ran.map((line) => line.split(' # SKIP ')[1]).find((reason) => reason !== undefined) ?? 'green'
  })
}

const NOT_ASKED_FOR = '# SKIP test name does not match pattern'

function patternOf(name: string): string {
  return name.replace(/[()[\]]/g, '.')
}

describe('mutants', { concurrency: 3 }, () => {
  for (const { without, file, find, put, suite, name } of MUTANTS) {
    test(`without ${without} the suite goes red`, { timeout: 250_000 }, async (t) => {
      const copy = copyProject(t)
      const path = join(copy, file)
      const source = readFileSync(path, 'utf8')
      assert.equal(source.split(find).length, 2, `${find} is to be there once`)
      writeFileSync(
        path,
        source.replace(find, () => put),
      )
      const [outcome = ''] = await runTests(copy, suite, [name])
      if (outcome !== 'red' && outcome !== 'green') return t.skip(outcome)
      assert.equal(outcome, 'red')
    })
  }

  for (const suite of new Set(MUTANTS.map((mutant) => mutant.suite))) {
    test(`an unchanged copy stays green: ${suite}`, { timeout: 250_000 }, async (t) => {
      const names = new Set(MUTANTS.filter((mutant) => mutant.suite === suite).map(({ name }) => name))
      const outcomes = await runTests(copyProject(t), suite, [...names])
      assert.equal(outcomes.includes('red'), false, outcomes.join(', '))
    })
  }
})
