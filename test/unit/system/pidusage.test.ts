import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ANSWER_DEADLINE_MS, type AskPidusage, loadPidusage } from '../../../src/system/usage'

type Answer = (error: Error | null, stats?: Record<string, unknown>) => void

/** A package with pidusage's public call and nothing else. */
function fake(answer: (pids: number[], options: object, done: Answer) => void): AskPidusage {
  const loaded = loadPidusage('linux', () => Object.assign(answer, { clear: () => undefined }))
  assert.ok(typeof loaded === 'function', String(loaded))
  return loaded
}

const withCode = (code: string) => Object.assign(new Error(code), { code })

for (const platform of ['darwin', 'win32', 'freebsd', 'aix'] as const) {
  test(`on ${platform} it is not used, because it would start a program for each reading`, () => {
    assert.equal(loadPidusage(platform), `pidusage would start a program for each reading on ${platform}`)
  })
}

test('a package that cannot be loaded: the first line of the reason', () => {
  const load = () => {
    throw new Error("Cannot find module './lib/stats'\nRequire stack:\n- /app/index.js")
  }
  assert.equal(loadPidusage('linux', load), "pidusage failed: Cannot find module './lib/stats'")
})

for (const path of [
  `:${process.env.PATH}`,
  `${process.env.PATH}:`,
  `.:${process.env.PATH}`,
  `bin:${process.env.PATH}`,
  '',
]) {
  test(`F1 with PATH '${path.replace(process.env.PATH ?? '', '…')}' it is not used: getconf could come from the working directory`, (t) => {
    const { PATH } = process.env
    t.after(() => (process.env.PATH = PATH))
    process.env.PATH = path
    assert.match(String(loadPidusage('linux')), /PATH has an entry that depends on the working directory/)
  })
}

const notRoot = process.getuid?.() === 0 ? false : 'only root can give a directory away'
const ALICE = 65_533

/** A directory with a program getconf, first in PATH, below one that only this user can change. */
function putFirstInPath(t: TestContext): string {
  const parent = mkdtempSync(join(tmpdir(), 'cmm-path-'))
  const bin = join(parent, 'bin')
  mkdirSync(bin, { mode: 0o755 })
  writeFileSync(join(bin, 'getconf'), '#!/bin/sh\necho 100\n', { mode: 0o755 })
  const { PATH } = process.env
  process.env.PATH = `${bin}:${PATH}`
  t.after(() => {
    process.env.PATH = PATH
    rmSync(parent, { recursive: true })
  })
  return bin
}

for (const [what, plant, why] of [
  [
    'belongs to another user',
    (bin: string) => chownSync(bin, ALICE, ALICE),
    /in PATH .*\/bin belongs to the user 65533$/,
  ],
  [
    'belongs to another user, and has no getconf yet',
    (bin: string) => {
      rmSync(join(bin, 'getconf'))
      chownSync(bin, ALICE, ALICE)
    },
    /in PATH .*\/bin belongs to the user 65533$/,
  ],
  [
    'lies in a directory of another user',
    (bin: string) => chownSync(dirname(bin), ALICE, ALICE),
    /in PATH .*cmm-path-\w+ belongs to the user 65533$/,
  ],
  [
    'holds a getconf of another user',
    (bin: string) => chownSync(join(bin, 'getconf'), ALICE, ALICE),
    /in PATH .*getconf belongs to the user 65533$/,
  ],
  [
    'is a symbolic link into a directory of another user',
    (bin: string) => {
      renameSync(bin, `${bin}-real`)
      symlinkSync('bin-real', bin)
      chownSync(`${bin}-real`, ALICE, ALICE)
    },
    /in PATH .*\/bin-real belongs to the user 65533$/,
  ],
  [
    'can be written by all, without a sticky bit',
    (bin: string) => chmodSync(bin, 0o777),
    /in PATH .*\/bin is writable for all users and has no sticky bit$/,
  ],
  [
    'does not exist yet, below a sticky directory in which all can make one',
    (bin: string) => {
      chmodSync(dirname(bin), 0o1777)
      rmSync(bin, { recursive: true })
    },
    /in PATH .*cmm-path-\w+ is writable for all users$/,
  ],
] as const)
  test(`it is not used when a directory of PATH before getconf ${what}`, { skip: notRoot }, (t) => {
    plant(putFirstInPath(t))
    const answer = loadPidusage('linux')
    assert.match(String(answer), why)
  })

for (const [what, prepare] of [
  ['belongs to this user', () => undefined],
  ['belongs to this user, below a sticky directory', (bin: string) => chmodSync(dirname(bin), 0o1777)],
  ['does not exist', (bin: string) => rmSync(bin, { recursive: true })],
  [
    'is a symbolic link of this user to one of his own',
    (bin: string) => {
      renameSync(bin, `${bin}-real`)
      symlinkSync(`../${basename(dirname(bin))}/bin-real`, bin)
    },
  ],
  [
    'comes after the one that has getconf, and belongs to another user',
    (bin: string) => {
      const later = `${bin}-later`
      mkdirSync(later)
      chownSync(later, ALICE, ALICE)
      process.env.PATH = `${bin}:${later}:${process.env.PATH}`
    },
  ],
] as const)
  test(`it is used when a directory of PATH ${what}`, { skip: notRoot }, (t) => {
    prepare(putFirstInPath(t))
    assert.equal(typeof loadPidusage('linux'), 'function')
  })

test('without getconf it is not used: it would print two stacks to stderr', (t) => {
  const { PATH } = process.env
  t.after(() => (process.env.PATH = PATH))
  process.env.PATH = '/nowhere:/proc'
  assert.equal(
    loadPidusage('linux'),
    'pidusage needs the programs /bin/sh and getconf (in PATH), and one is missing',
  )
  process.env.PATH = PATH
  assert.equal(typeof loadPidusage('linux'), 'function')
})

test('both options are given, whatever the environment says', async () => {
  const asked: object[] = []
  const ask = fake((pids, options, done) => {
    asked.push(pids, options)
    done(null, { 7: { ctime: 10, memory: 20 } })
  })
  assert.deepEqual(await ask([7]), new Map([[7, { ctime: 10, memory: 20 }]]))
  assert.deepEqual(asked, [[7], { usePs: false, maxage: 600_000 }])
})

test('a process without an answer, or with one that is no number, is absent', async () => {
  const stats = { 1: undefined, 2: null, 3: { ctime: NaN, memory: 1 }, 4: { ctime: 1, memory: 1 } }
  const usage = await fake((_pids, _options, done) => done(null, stats))([1, 2, 3, 4, 5])
  assert.deepEqual([...usage.keys()], [4])
})

test('a process that has ended is absent, any other error is one', async () => {
  for (const code of ['ENOENT', 'ESRCH']) {
    assert.equal((await fake((_pids, _options, done) => done(withCode(code)))([1])).size, 0)
  }
  await assert.rejects(fake((_pids, _options, done) => done(withCode('EACCES')))([1]), /EACCES/)
  const throws = fake(() => {
    throw new Error('not today')
  })
  await assert.rejects(throws([1]), /not today/)
})

test('no answer is an error, and drops the history, so that no entry expires amid its reading', async (t) => {
  assert.equal(ANSWER_DEADLINE_MS, 1000)
  // The deadline's own timer keeps nothing alive.
  const hold = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(hold))
  let cleared = 0
  const silent = loadPidusage('linux', () => Object.assign(() => undefined, { clear: () => void cleared++ }))
  assert.ok(typeof silent === 'function')
  await assert.rejects(silent([1]), /no answer within 1000 ms/)
  assert.equal(cleared, 1)
})

test('the package as installed: CPU time in ms, memory in bytes', async () => {
  const ask = loadPidusage()
  assert.ok(typeof ask === 'function', String(ask))
  const own = (await ask([process.pid])).get(process.pid)
  const { user, system } = process.cpuUsage()
  assert.ok(Math.abs((own?.ctime ?? 0) - (user + system) / 1000) <= 100, `${own?.ctime} ms`)
  const ratio = (own?.memory ?? 0) / process.memoryUsage.rss()
  assert.ok(ratio > 0.7 && ratio < 1.4, `ratio ${ratio}`)
})
