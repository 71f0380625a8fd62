import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import type { Listed } from '../../../src/reader/list'
import { reader, scratch } from '../../e2e/reader/command'

const { folder, remove } = scratch()
after(remove)

const profile = (name: string, padding = ''): string =>
  JSON.stringify({
    nodes: [
      {
        id: 1,
        callFrame: { functionName: '(root)', url: '', lineNumber: -1, columnNumber: -1 },
        children: [2],
      },
      {
        id: 2,
        callFrame: { functionName: name, url: 'file:///app/a.js', lineNumber: 6, columnNumber: 0 },
        hitCount: 9,
      },
    ],
    startTime: 0,
    endTime: 9000,
    padding,
  })

function fill(): void {
  const put = (name: string, content: string): void => writeFileSync(join(folder, name), content)
  put('cpu-7-1700000000000.cpuprofile', profile('render', 'x'.repeat(5000)))
  put('blocked-cpu-7-1700000005000.cpuprofile', profile('spin'))
  put('manual-memory-7-1700000003000.heapsnapshot', '{}')
  put('mine.cpuprofile', '{"nodes":')
  utimesSync(join(folder, 'mine.cpuprofile'), 1_600_000_000, 1_600_000_000)
  put('cpu-7-1700000009000.cpuprofile.partial', profile('unfinished'))
  put('cpu-7-1700000009000.cpuprofile.json', '{}')
  symlinkSync('/etc/passwd', join(folder, 'link.cpuprofile'))
  mkdirSync(join(folder, 'directory.cpuprofile'))
}

async function list(...args: string[]): Promise<Listed[]> {
  const { code, stdout, stderr } = await reader('ls', folder, '--json', ...args)
  assert.equal(code, 0, stderr)
  return (JSON.parse(stdout) as { incidents: Listed[] }).incidents
}

describe('ls', { timeout: 60_000 }, () => {
  fill()

  it('lists whole artefacts, the newest first, with the reason and the culprit', async () => {
    assert.deepEqual(
      (await list()).map(({ at, rule, files }) => [at, rule, files[0]]),
      [
        ['2023-11-14T22:13:25.000Z', 'blocked', 'blocked-cpu-7-1700000005000.cpuprofile'],
        ['2023-11-14T22:13:23.000Z', 'manual', 'manual-memory-7-1700000003000.heapsnapshot'],
        ['2023-11-14T22:13:20.000Z', 'threshold', 'cpu-7-1700000000000.cpuprofile'],
        ['2020-09-13T12:26:40.000Z', undefined, 'mine.cpuprofile'],
      ],
    )
    const verdicts = (await list()).map(({ verdict }) => verdict)
    assert.match(verdicts[0] ?? '', /^spin \(\/app\/a\.js:7\) used 100\.0 %/)
    assert.match(verdicts[1] ?? '', /^Read it with: report manual-memory/)
    assert.match(verdicts[3] ?? '', /^Unreadable: mine\.cpuprofile is not whole JSON/)
  })

  it('notes a description that is a link, under its dump alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'foreign-'))
    try {
      const description = JSON.stringify({
        tool: 'cpu-memory-monitor',
        why: { kind: 'cpu', rule: 'threshold' },
      })
      const [theirs, own] = ['cpu-7-1700000009000.cpuprofile', 'cpu-7-1700000000000.cpuprofile']
      for (const name of [theirs, own]) writeFileSync(join(folder, name), profile('render'))
      writeFileSync(join(folder, `${own}.json`), description)
      symlinkSync(`${own}.json`, join(folder, `${theirs}.json`))
      const note = `The .json of ${theirs} was not read: it belongs to another user, is a link, or may have been written by another user.`
      const { stdout } = await reader('ls', folder, '--json')
      const { incidents } = JSON.parse(stdout) as { incidents: Listed[] }
      assert.deepEqual(
        incidents.map(({ files: [name], notes }) => [name, notes]),
        [
          [theirs, [note]],
          [own, undefined],
        ],
      )
      const lines = (await reader('ls', folder)).stdout.split('\n')
      assert.equal(lines[2], `    ${note}`)
      assert.equal(lines.filter((line) => line.includes(note)).length, 1)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('lists the files of the threads of one dump as one, the busiest first, and names a worker', async () => {
    const threads = mkdtempSync(join(tmpdir(), 'threads-'))
    try {
      for (const [name, hot, thread, busyMs] of [
        ['cpu-7-1700000000000.cpuprofile', 'serve', { kind: 'main', id: 0, name: '' }, 5],
        [
          'cpu-7-1700000000000-worker-3.cpuprofile',
          'resize',
          { kind: 'worker', id: 3, name: 'resizer' },
          900,
        ],
        ['cpu-7-1700000000000-worker-4.cpuprofile', 'nap', { kind: 'worker', id: 4, name: '' }, 60],
      ] as const) {
        writeFileSync(join(threads, name), profile(hot))
        const sidecar = {
          tool: 'cpu-memory-monitor',
          why: { kind: 'cpu' },
          thread,
          how: { notes: { busyMs } },
        }
        writeFileSync(join(threads, `${name}.json`), JSON.stringify(sidecar))
      }
      const { stdout } = await reader('ls', threads, '--json')
      const { incidents } = JSON.parse(stdout) as { incidents: Listed[] }
      assert.deepEqual(
        incidents.map(({ files }) => files),
        [
          [
            'cpu-7-1700000000000-worker-3.cpuprofile',
            'cpu-7-1700000000000-worker-4.cpuprofile',
            'cpu-7-1700000000000.cpuprofile',
          ],
        ],
      )
      assert.match(incidents[0]?.verdict ?? '', /^worker 3 'resizer': resize \(/)
    } finally {
      rmSync(threads, { recursive: true, force: true })
    }
  })

  it('sorts by size or kind, and leaves out what is older', async () => {
    assert.match((await list('--sort', 'size'))[0]?.files[0] ?? '', /^cpu-7/)
    assert.deepEqual(
      (await list('--sort', 'kind')).map(({ kind }) => kind),
      ['cpu', 'cpu', 'cpu', 'memory'],
    )
    assert.equal((await list('--since', '2023-11-14T22:13:22Z')).length, 2)
    assert.equal((await list('--since', '1d')).length, 0)
  })

  it('writes two lines per incident for a terminal', async () => {
    const { stdout } = await reader('ls', folder)
    assert.match(stdout, /^2023-11-14 22:13:25 {2}cpu {5}blocked {4}\S+ (B|kB) .*\n {4}spin /)
    assert.match(stdout, /\ncpu-7-1700000009000\.cpuprofile\.partial is still being written/)
  })

  it('names unfinished files with --json, and none where all are whole', async () => {
    const unfinished = async (directory: string): Promise<unknown> => {
      const { stdout } = await reader('ls', directory, '--json')
      return (JSON.parse(stdout) as { unfinished: unknown }).unfinished
    }
    assert.deepEqual(await unfinished(folder), ['cpu-7-1700000009000.cpuprofile.partial'])
    const whole = mkdtempSync(join(tmpdir(), 'whole-'))
    try {
      writeFileSync(join(whole, 'cpu-7-1700000000000.cpuprofile'), profile('render'))
      assert.deepEqual(await unfinished(whole), [])
    } finally {
      rmSync(whole, { recursive: true, force: true })
    }
  })

  it('gives the name of a worker to no profile of the main thread', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'worker-'))
    try {
      const snapshot = 'memory-7-1700000000000-worker-3.heapsnapshot'
      const why = { tool: 'cpu-memory-monitor', why: { kind: 'memory' } }
      const thread = { kind: 'worker', id: 3, name: 'resizer' }
      writeFileSync(join(directory, snapshot), '{}')
      writeFileSync(join(directory, `${snapshot}.json`), JSON.stringify({ ...why, thread }))
      writeFileSync(join(directory, 'memory-7-1700000000000.heapprofile'), profile('main'))
      const verdicts = async () => {
        const { stdout } = await reader('ls', directory, '--json')
        return (JSON.parse(stdout) as { incidents: Listed[] }).incidents.map(({ verdict }) => verdict)
      }
      assert.deepEqual(await verdicts(), [`worker 3 'resizer': Read it with: report ${snapshot}`])
      writeFileSync(join(directory, 'memory-7-1700000000000-worker-3.heapprofile'), profile('resize'))
      assert.match((await verdicts())[0] ?? '', /^worker 3 'resizer': resize \(/)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })

  it('refuses a directory that is not there', async () => {
    const { code, stderr } = await reader('ls', join(folder, 'missing'))
    assert.equal(code, 1)
    assert.match(stderr, /missing cannot be read: there is no such file/)
  })
})
