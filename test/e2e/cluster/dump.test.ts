import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { limitedTo } from '../monitor/memory-cgroup'
import { neighbourWithTurn } from '../monitor/neighbour'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

const often = { count: 2, minLifetime: 0, killTimeout: 1500 }

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cluster-dump-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

async function start(t: TestContext, options: object, more: object = {}): Promise<RunningCluster> {
  const running = await RunningCluster.start(t, { options: { ...often, ...options }, ...more })
  await running.allReady()
  return running
}

/** @returns The process id of the worker that is now above its limit. */
async function leak(t: TestContext, running: RunningCluster): Promise<number> {
  const user = new User(t, running.port)
  await user.get('/leak-objects?count=100000')
  return (await user.get('/leak?mb=150')).pid
}

const snapshots = (directory: string) =>
  readdirSync(directory).filter((name) => name.endsWith('.heapsnapshot'))

describe('evidence of drained workers', { concurrency: 2 }, () => {
  test('a worker above the limit leaves a snapshot and a sampling profile after the drain, and goes with code 0', async (t) => {
    const profileDir = folder(t)
    const running = await start(t, { dump: { profileDir } })
    const pid = await leak(t, running)
    await running.recycled(1)
    assert.deepEqual([running.events('recycled')[0]?.pid, running.events('recycled')[0]?.code], [pid, 0])
    const [file = ''] = snapshots(profileDir)
    assert.match(file, new RegExp(`^memory-${pid}-\\d+\\.heapsnapshot$`))
    const profile = file.replace(/snapshot$/, 'profile')
    assert.deepEqual(readdirSync(profileDir).sort(), [profile, `${profile}.json`, file, `${file}.json`])
    const snapshot = JSON.parse(readFileSync(join(profileDir, file), 'utf8')) as { nodes: number[] }
    assert.ok(snapshot.nodes.length > 1000)
    const { why } = JSON.parse(readFileSync(join(profileDir, `${file}.json`), 'utf8')) as {
      why: { details: { cluster: string; threshold: number; reading: number } }
    }
    assert.equal(why.details.cluster, 'over')
    assert.ok(why.details.reading > why.details.threshold)
    assert.equal(running.census.leastAccepting, 2)
    await running.says(
      /the memory dump of the worker with pid \d+ is in \S+\.heapsnapshot and \S+\.heapprofile/,
    )
    assert.doesNotMatch(running.stderr, /cannot be written|no heap snapshot|because its dump is not written/)
    assert.match(readFileSync(join(profileDir, profile), 'utf8'), /"functionName":"leakObjects"/)
  })

  test('where no snapshot fits, the sampling profile alone is left, with a line that gives the reason', async (t) => {
    const group = limitedTo(t, 200 * 1024 * 1024)
    if ('reason' in group) return t.skip(group.reason)
    const profileDir = folder(t)
    const running = await start(t, { dump: { profileDir } })
    // One write for each process: the kernel takes no list.
    for (const pid of running.census.allPids()) writeFileSync(group.procs, String(pid))
    await leak(t, running)
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
    const kinds = readdirSync(profileDir).map((name) => name.replace(/^.*?\./, ''))
    assert.deepEqual(kinds.sort(), ['heapprofile', 'heapprofile.json'])
    await running.says(
      /no heap snapshot of the worker with pid \d+: too little memory \(used [\d.]+\w+, need [\d.]+\w+, have /,
    )
  })

  test('while a neighbour under the same memory limit takes a heap dump, a worker waits with its own', async (t) => {
    const group = limitedTo(t, 2e9)
    if ('reason' in group) return t.skip(group.reason)
    const neighbour = await neighbourWithTurn(t, group.procs)
    const profileDir = folder(t)
    const running = await start(t, { dump: { profileDir } }, { joinCgroup: group.procs })
    await leak(t, running)
    await neighbour.isWaitedFor()
    assert.deepEqual(readdirSync(profileDir), [])
    neighbour.kill()
    await running.recycled(1)
    assert.equal(snapshots(profileDir).length, 1)
  })

  test('where a neighbour under the same memory limit keeps its turn, a worker waits for half of the deadline and goes with code 0, with a line', async (t) => {
    const group = limitedTo(t, 2e9)
    if ('reason' in group) return t.skip(group.reason)
    const neighbour = await neighbourWithTurn(t, group.procs)
    const profileDir = folder(t)
    const options = { dump: { profileDir, deadline: 6000, limiter: [1, 'hour'] as const } }
    const running = await start(t, options, { joinCgroup: group.procs })
    const pid = await leak(t, running)
    await running.recycled(1)
    assert.deepEqual([running.events('recycled')[0]?.pid, running.events('recycled')[0]?.code], [pid, 0])
    assert.deepEqual(readdirSync(profileDir), [])
    await running.says(
      new RegExp(
        `no heap snapshot of the worker with pid ${pid}: other processes under the same memory limit were still writing theirs$`,
        'm',
      ),
    )
    // That dump was not made, so the next worker may still write the one that the budget allows.
    neighbour.kill()
    await leak(t, running)
    await running.recycled(2)
    assert.equal(snapshots(profileDir).length, 1)
  })

  test('all workers share one budget, and a line reports a dump that it does not allow', async (t) => {
    const profileDir = folder(t)
    const running = await start(t, { dump: { profileDir, limiter: [1, 'hour'] } })
    await leak(t, running)
    await running.recycled(1)
    assert.doesNotMatch(running.stderr, /no heap snapshot/)
    const pid = await leak(t, running)
    await running.recycled(2)
    assert.equal(snapshots(profileDir).length, 1)
    assert.deepEqual(
      running.events('recycled').map(({ code }) => code),
      [0, 0],
    )
    await running.says(
      new RegExp(
        `no heap snapshot of worker \\d+ \\(pid ${pid}\\): the dump budget of all workers together is spent: at most 1 in 3600 s \\(dump\\.limiter\\)$`,
        'm',
      ),
    )
    assert.equal(running.stderr.match(/no heap snapshot/g)?.length, 1)
  })

  test('a worker that goes for another reason leaves none', async (t) => {
    const profileDir = folder(t)
    const running = await start(t, { dump: { profileDir } })
    process.kill(running.census.allPids()[0] ?? 0, 'SIGTERM')
    await running.recycled(1)
    running.kill('SIGTERM')
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
    assert.deepEqual(readdirSync(profileDir), [])
  })

  test('a directory that cannot be written to is reported once at start and at each dump, and the worker goes with code 0', async (t) => {
    const file = join(folder(t), 'file')
    writeFileSync(file, '')
    const directory = join(file, 'below')
    const running = await start(t, { dump: { profileDir: directory } })
    await running.says(/cannot be written, dumps to it will fail: .*ENOTDIR/)
    await leak(t, running)
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
    await running.says(/no heap snapshot of the worker with pid \d+: .*ENOTDIR/)
    assert.equal(running.stderr.match(/cannot be written/g)?.length, 1)
  })

  test('writing that takes longer than its deadline is cut, with a line, and has delayed no replacement', async (t) => {
    const running = await start(t, { dump: { profileDir: folder(t), deadline: 1 } })
    const pid = await leak(t, running)
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 1)
    assert.equal(running.census.leastAccepting, 2)
    await running.says(
      new RegExp(
        `the worker with pid ${pid} ends with code 1, because its dump is not written after 1 ms \\(dump\\.deadline\\); a forked child that writes it goes on$`,
        'm',
      ),
    )
  })

  test('while a monitor in the worker writes a dump, that one is waited for, and none is added', async (t) => {
    const profileDir = folder(t)
    const running = await start(t, { dump: { profileDir } }, { clean: 'dumps' })
    await leak(t, running)
    await running.recycled(1)
    assert.equal(running.said.filter((line) => line['dumped'] === true).length, 1)
    assert.equal(running.events('recycled')[0]?.code, 0)
    assert.deepEqual(readdirSync(profileDir), [])
  })

  test('while a monitor in the worker writes a CPU profile, that one is waited for, and does not stand for the memory', async (t) => {
    const profileDir = folder(t)
    const running = await start(t, { dump: { profileDir } }, { clean: 'dumps', dumpsCpu: true })
    await leak(t, running)
    await running.recycled(1)
    assert.equal(running.said.filter((line) => line['dumped'] === true).length, 1)
    assert.equal(snapshots(profileDir).length, 1)
  })

  test('the monitor works inside the workers: a signal to one of them makes one file, of that one', async (t) => {
    const profileDir = folder(t)
    const running = await start(t, { dump: { profileDir } }, { start: 'monitored', profileDir })
    const [pid = 0] = running.census.allPids()
    process.kill(pid, 'SIGUSR2')
    await running.until('the snapshot', () => snapshots(profileDir).length > 0)
    await leak(t, running)
    await running.recycled(1)
    const files = snapshots(profileDir)
    assert.deepEqual(files.filter((name) => name.startsWith('manual-')).length, 1)
    assert.ok(files.some((name) => name.startsWith(`manual-memory-${pid}-`)))
    assert.deepEqual(files.filter((name) => name.startsWith('memory-')).length, 1)
    assert.equal(running.census.leastAccepting, 2)
    assert.equal(running.events('crash').length, 0)
  })
})
