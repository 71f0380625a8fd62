import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { CLI, reader, scratch } from '../../e2e/reader/command'

const { folder, remove } = scratch()
after(remove)

const NAME = 'cpu-7-1700000000000.cpuprofile'
const SIDECAR = JSON.stringify({ tool: 'cpu-memory-monitor', why: { kind: 'cpu', rule: 'threshold' } })

const frame = (functionName: string): object => ({
  functionName,
  url: 'file:///app/a.js',
  lineNumber: 6,
  columnNumber: 0,
})

/** A profile whose report is longer than a page of memory. */
const PROFILE = JSON.stringify({
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: Array.from({ length: 50 }, (_, at) => at + 2) },
    ...Array.from({ length: 50 }, (_, at) => ({
      id: at + 2,
      callFrame: frame(`work${at}${'x'.repeat(200)}`),
      hitCount: 10,
    })),
  ],
  startTime: 0,
  endTime: 1e6,
})

let count = 0

function dump(): { directory: string; file: string } {
  const directory = join(folder, String(count++))
  mkdirSync(directory)
  const file = join(directory, NAME)
  writeFileSync(file, PROFILE)
  writeFileSync(`${file}.json`, SIDECAR)
  return { directory, file }
}

describe('what report writes', { timeout: 300_000 }, () => {
  for (const option of ['--out', '--speedscope', '--pprof'])
    it(`goes over no file of the dump: ${option}`, async () => {
      const { directory, file } = dump()
      symlinkSync(file, join(directory, 'link'))
      linkSync(file, join(directory, 'second-name'))
      const targets = [file, `${file}.json`, join(directory, 'link'), join(directory, 'second-name')]
      const before = readdirSync(directory)
      for (const target of targets) {
        const { code, stdout, stderr } = await reader('report', file, option, target)
        assert.equal(code, 1, target)
        assert.equal(stdout, '')
        assert.equal(
          stderr,
          `${target} is a file of the dump itself and is not overwritten: name another file\n`,
        )
      }
      assert.deepEqual(readdirSync(directory), before)
      assert.equal(readFileSync(file, 'utf8'), PROFILE)
      assert.equal(readFileSync(`${file}.json`, 'utf8'), SIDECAR)
    })

  it('goes over neither of two files, nor over any dump of a directory', async () => {
    const { directory, file } = dump()
    const other = join(directory, 'cpu-7-1700000001000.cpuprofile')
    writeFileSync(other, PROFILE)
    for (const paths of [[file, other], [other, file], [directory]])
      for (const target of [file, other]) {
        const { code, stderr } = await reader('report', ...paths, '--out', target)
        assert.equal(code, 1)
        assert.match(stderr, /is a file of the dump itself/)
      }
    assert.equal(readFileSync(file, 'utf8'), PROFILE)
    assert.equal(readFileSync(other, 'utf8'), PROFILE)
  })

  it('goes over a page that an earlier report left', async () => {
    const { directory } = dump()
    const page = join(directory, 'page.html')
    writeFileSync(page, 'earlier')
    const { code, stderr } = await reader('report', directory, '--out', page)
    assert.equal(code, 0, stderr)
    assert.match(readFileSync(page, 'utf8'), /^<!doctype html>/)
  })
})

const noFull = existsSync('/dev/full') ? false : 'there is no /dev/full'

describe('the exit code', { timeout: 300_000 }, () => {
  const run = (args: readonly string[], stdout: number): { status: number | null; stderr: string } =>
    spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', stdio: ['ignore', stdout, 'pipe'] })

  it('is 1 where the answer cannot be written', { skip: noFull }, () => {
    const { directory, file } = dump()
    for (const args of [['report', file], ['report', file, '--json'], ['ls', directory], ['--help']]) {
      const full = openSync('/dev/full', 'w')
      const { status, stderr } = run(args, full)
      closeSync(full)
      assert.equal(status, 1, args.join(' '))
      assert.match(stderr, /^the standard output cannot be written: ENOSPC.*\n$/)
    }
  })

  it(
    'is 1 where the answer cannot be written whole',
    { skip: process.platform === 'win32' && 'no ulimit' },
    () => {
      const { directory, file } = dump()
      const answer = join(directory, 'answer')
      // A shell's blocks have 512 or 1024 bytes.
      const { status, stderr } = spawnSync(
        'sh',
        ['-c', 'ulimit -f 8; exec "$@" > "$0"', answer, process.execPath, CLI, 'report', file],
        { encoding: 'utf8' },
      )
      assert.ok(statSync(answer).size > 0)
      assert.equal(status, 1, stderr)
      assert.match(stderr, /^the standard output cannot be written: EFBIG.*\n$/)
    },
  )

  it('is 0 where the answer goes into a file, and where its reader closes early', () => {
    const { directory, file } = dump()
    const answer = join(directory, 'answer')
    const out = openSync(answer, 'w')
    assert.equal(run(['report', file, '--json'], out).status, 0)
    closeSync(out)
    const whole = readFileSync(answer, 'utf8')
    assert.ok(JSON.parse(whole))
    // A pipe takes 64 KiB before its reader has to read.
    assert.ok(whole.length > 70_000, String(whole.length))
    const early = spawnSync(
      'sh',
      [
        '-c',
        '{ "$@"; echo "code $?" >&2; } | head -c 1',
        'sh',
        process.execPath,
        CLI,
        'report',
        file,
        '--json',
      ],
      { encoding: 'utf8' },
    )
    assert.equal(early.stdout, whole[0])
    assert.equal(early.stderr, 'code 0\n')
  })
})
