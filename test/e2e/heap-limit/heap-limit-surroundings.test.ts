import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { artefacts, files, scratch } from '../monitor/app'
import { limitedTo } from '../monitor/memory-cgroup'
import {
  type Death,
  die,
  diesLike,
  it,
  untilAtWork,
  untilProfiled,
  untilWritten,
  WATCHED,
} from './heap-limit'

const MIB = 1024 * 1024
const isRoot = process.getuid?.() === 0
/** Since 22.5, and without a flag since 22.13. */
const hasDatabase = process.getBuiltinModule?.('node:sqlite') !== undefined

describe("a process that dies of V8's heap limit", () => {
  it('as PID 1 is held until its child has written all', { skip: !isRoot && 'needs root' }, async (t) => {
    const through = ['unshare', '--pid', '--fork', '--mount-proc']
    const options = { ...WATCHED, memory: { heapLimit: { hold: 60_000 } } }
    const twin = await die(t, { through, options: 'none' })
    const death = await die(t, { through, options })
    diesLike(death, twin)
    // Not waited for: the end of PID 1 is the end of its child.
    assert.deepEqual(files(death, '.partial'), [])
    assert.equal(artefacts(death, 'heap-limit-memory-1-').length, 2)
    assert.match(death.line ?? '', /a forked child has written/)
  })

  // The shell ends with its command, and as PID 1 it ends all others.
  const inShell = (script: string): string[] => [
    ...['unshare', '--pid', '--fork', '--mount-proc', 'sh', '-c', script],
  ]

  it('below a shell that is PID 1 is held likewise', { skip: !isRoot && 'needs root' }, async (t) => {
    const options = { ...WATCHED, memory: { heapLimit: { hold: 60_000 } } }
    const death = await die(t, { through: inShell('"$0" "$@"; exit $?'), options })
    assert.match(death.line ?? '', /a forked child has written .*\.heapprofile and \.heapsnapshot$/)
    assert.equal(artefacts(death, 'heap-limit-memory-').length, 2)
  })

  it(
    'below one that has other children is not: it may go on',
    { skip: !isRoot && 'needs root' },
    async (t) => {
      const options = { ...WATCHED, memory: { heapLimit: { hold: 60_000 } } }
      const death = await die(t, { through: inShell('sleep 100 & "$0" "$@"; exit $?'), options })
      assert.match(death.line ?? '', /a forked child is writing/)
    },
  )

  it('as PID 1 is held no longer than `hold`', { skip: !isRoot && 'needs root' }, async (t) => {
    const through = ['unshare', '--pid', '--fork', '--mount-proc']
    const options = { ...WATCHED, memory: { heapLimit: { hold: 1 } } }
    const death = await die(t, { through, options, limitMb: 60 })
    assert.deepEqual(
      artefacts(death).filter((name) => name.endsWith('.heapsnapshot')),
      [],
    )
    assert.match(death.line ?? '', /a forked child has not finished in time: /)
  })

  it('writes what fits into its container, and nothing if nothing does', async (t) => {
    const tight = limitedTo(t, 130 * MIB)
    const wide = limitedTo(t, 500 * MIB)
    if ('reason' in tight) return t.skip(tight.reason)
    if ('reason' in wide) return t.skip(wide.reason)
    const [twin, refused, taken] = [
      await die(t, { env: { CMM_PROCS: tight.procs }, options: 'none', limitMb: 60 }),
      await die(t, { env: { CMM_PROCS: tight.procs }, limitMb: 60 }),
      await die(t, { env: { CMM_PROCS: wide.procs }, limitMb: 60 }),
    ]
    for (const death of [refused, taken])
      assert.deepEqual([death.code, death.signal], [twin.code, twin.signal])
    assert.match(refused.line ?? '', /no dump: memory: needs [\d.]+MB, [\d.]+[KM]?B available/)
    assert.deepEqual(files(refused, 'heap-limit-'), [])
    await untilProfiled(taken)
  })

  it('writes nothing to a full disk, and a profile alone where a snapshot could fill it', async (t) => {
    if (!isRoot) return t.skip('needs root to mount a file system')
    const [full, narrow] = [mounted(t, '100m'), mounted(t, '300m')]
    const refused = await die(t, { directory: full })
    assert.match(refused.line ?? '', /no dump: disk: [\d.]+[KM]?B free/)
    assert.deepEqual(files(refused, 'heap-limit-'), [])
    const taken = await die(t, { directory: narrow })
    assert.match(taken.line ?? '', /\.heapprofile$/)
    await untilProfiled(taken)
    assert.deepEqual(
      artefacts(taken).map((name) => name.replace(/.*\./, '.')),
      ['.heapprofile'],
    )
  })

  // With 1 the third life deletes what the first one left, which counts for the fourth all the same.
  for (const keep of [10, 1]) {
    it(`spends a budget that outlives it, with \`keep: ${keep}\``, async (t) => {
      const directory = scratch(t)
      const options = { ...WATCHED, keep, memory: { limiter: [2, 'hour'] } }
      const lines: (string | undefined)[] = []
      for (let life = 0; life < 4; life++) {
        // Time for the look at the directory.
        const args = ['2000']
        lines.push((await die(t, { directory, options, shape: 'array', args })).line)
        if (life < 2) await untilWritten({ directory }, directory, life + 1)
      }
      assert.deepEqual(
        lines.map((line) => /no dump: limited: 2 of 2/.test(line ?? '')),
        [false, false, true, true],
      )
      const names = artefacts({ directory }).filter((name) => name.endsWith('.heapprofile'))
      assert.equal(names.length, Math.min(keep, 2))
    })
  }

  it('spends a budget together with processes that were started before', async (t) => {
    const directory = scratch(t)
    const options = { ...WATCHED, memory: { limiter: [1, 'hour'] } }
    const [first, second] = ['first', 'second'].map((go) =>
      die(t, { directory, options, program: 'on-file.js', args: [go] }),
    ) as [Promise<Death>, Promise<Death>]
    // Both have looked at the empty directory.
    for (const go of ['first', 'second']) await until(() => existsSync(join(directory, `${go}-watched`)))
    writeFileSync(join(directory, 'first'), '')
    assert.match((await first).line ?? '', /heap-limit-memory-/)
    writeFileSync(join(directory, 'second'), '')
    const death = await second
    assert.match(death.line ?? '', /no dump: limited: /)
    const dumps = new Set(files({ directory }, 'heap-limit-').map((name) => /memory-\d+/.exec(name)?.[0]))
    assert.equal(dumps.size, 1)
    await untilWritten({ directory })
  })

  it('keeps its port, its files and its handlers to itself', async (t) => {
    const twin = await die(t, { program: 'holds.js', options: 'none' })
    const death = await die(t, { program: 'holds.js', limitMb: 60 })
    // The child is at work now, or was: the port is free whichever it is.
    await listen(portOf(death.stdout))
    assert.deepEqual([death.code, death.signal], [twin.code, twin.signal])
    assert.equal((await untilWritten(death)).length, 2)
    for (const each of [twin, death]) {
      assert.equal(readFileSync(join(each.directory, 'half-written'), 'utf8'), 'one half')
      assert.deepEqual(files(each, 'handlers'), [])
      assert.equal(readFileSync(join(each.directory, 'stream'), 'utf8'), '')
    }
  })

  const skip = !hasDatabase && `Node ${process.version} has no node:sqlite`
  it('leaves its databases as they were amid a transaction', { skip }, async (t) => {
    const twin = await die(t, { program: 'database.js', options: 'none' })
    const death = await die(t, { program: 'database.js' })
    await untilWritten(death)
    const left = filesOfDatabases(death)
    assert.deepEqual(left, filesOfDatabases(twin))
    assert.ok(left.some(([name, bytes]) => name === 'delete.db-journal' && bytes > 0))
    for (const mode of ['delete', 'wal'])
      assert.deepEqual(rowsOf(join(death.directory, `${mode}.db`)), { rows: 64, committed: 64, check: 'ok' })
  })

  it('has its child work on through the signal that orders dumps', async (t) => {
    const death = await die(t, { options: { memory: {} } })
    process.kill(await untilAtWork(death), 'SIGUSR2')
    await untilWritten(death)
  })

  it('is held until its profile is whole, before the snapshot is begun', async (t) => {
    const death = await die(t)
    // Not waited for.
    assert.deepEqual(
      artefacts(death).map((name) => name.replace(/.*\./, '.')),
      ['.heapprofile'],
    )
    process.kill(await untilAtWork(death), 'SIGKILL')
  })
})

describe('a later start in the same directory', () => {
  it('reports what an earlier process left, once, whichever process reports it', async (t) => {
    const directory = scratch(t)
    const death = await die(t, { directory })
    await untilWritten(death)
    const waiting = { directory, program: 'waits.js', args: ['5000'], limitMb: 200 }
    const together = await Promise.all([die(t, waiting), die(t, waiting)])
    const later = await die(t, waiting)
    const reports = [...together, later].map(({ stdout }) => dumpsIn(stdout))
    assert.deepEqual(reports.map((dumps) => dumps.length).sort(), [0, 0, 1])
    assert.equal(reports[2]?.length, 0)
    const [dump] = reports.flat()
    assert.equal(dump?.['rule'], 'heap-limit')
    assert.equal(dump?.['earlier'], true)
    assert.deepEqual(
      (dump?.['files'] as string[]).sort(),
      artefacts({ directory }).map((name) => join(directory, name)),
    )
    const lines = together.map(({ stderr }) => /an earlier process reached V8's heap limit/.test(stderr))
    assert.deepEqual(lines.sort(), [false, true])
  })

  it('reports what a crash loop left, whose lives end before their event loop has turned', async (t) => {
    const directory = scratch(t)
    for (let life = 0; life < 3; life++) {
      await die(t, { directory, program: 'at-start.js' })
      await untilWritten({ directory }, directory, life + 1)
    }
    const later = await die(t, { directory, program: 'waits.js', args: ['5000'], limitMb: 200 })
    const reported = dumpsIn(later.stdout).flatMap((dump) => dump['files'] as string[])
    assert.deepEqual(
      reported.sort(),
      artefacts({ directory }).map((name) => join(directory, name)),
    )
    assert.equal(reported.length, 6)
  })

  it('keeps as many as `keep` says', async (t) => {
    const directory = scratch(t)
    for (let life = 0; life < 2; life++) await die(t, { directory, shape: 'array' }).then(untilWritten)
    await die(t, {
      directory,
      program: 'waits.js',
      args: ['5000'],
      limitMb: 200,
      options: { ...WATCHED, keep: 1 },
    })
    assert.equal(artefacts({ directory }).filter((name) => name.endsWith('.heapsnapshot')).length, 1)
  })
})

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(50)
}

/** Names and sizes. */
function filesOfDatabases(of: Death): (readonly [string, number])[] {
  const names = files(of).filter((name) => name.includes('.db'))
  return names.map((name) => [name, statSync(join(of.directory, name)).size] as const)
}

interface Sqlite {
  readonly DatabaseSync: new (file: string) => {
    prepare(sql: string): { get(): Record<string, unknown> }
    close(): void
  }
}

/** What a later process finds, which undoes the transaction as it opens the database. */
function rowsOf(file: string): Record<string, unknown> {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite') as unknown as Sqlite
  const database = new DatabaseSync(file)
  const counts = "count(*) AS rows, sum(text LIKE 'committed%') AS committed"
  const found = database.prepare(`SELECT ${counts} FROM rows`).get()
  const { integrity_check: check } = database.prepare('PRAGMA integrity_check').get()
  database.close()
  return { ...found, check }
}

function dumpsIn(stdout: string): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{"name":"dump"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

function portOf(stdout: string): number {
  return (JSON.parse(stdout.split('\n')[0] ?? '') as { port: number }).port
}

function listen(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => server.close(() => resolve()))
  })
}

/** A file system of that size, gone after the test. */
function mounted(t: TestContext, size: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'e2e-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory])
  t.after(() => {
    execFileSync('umount', ['-l', directory])
    rmdirSync(directory)
  })
  return directory
}
