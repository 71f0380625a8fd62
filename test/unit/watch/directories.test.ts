import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Report } from '../../../src/dispatch/events'
import { MAX_FOREIGN_NAMES } from '../../../src/files/retention.js'
import { prepareDirectories, retainer } from '../../../src/watch/directories.js'
import { scratch } from '../files/scratch'

// The work rests on unref'd timers between its pieces.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

function listener(): { report: Report; notices: string[]; failures: string[] } {
  const [notices, failures]: [string[], string[]] = [[], []]
  const report = {
    dump: () => undefined,
    skip: () => undefined,
    notice: (line: string) => void notices.push(line),
    failure: ({ message }: { message: string }) => void failures.push(message),
  }
  return { report, notices, failures }
}

test('a directory that is safe and writable gives no word', async (t) => {
  const directory = join(scratch(t), 'missing')
  const { report, notices, failures } = listener()
  await prepareDirectories([directory, directory], hostname(), report)
  assert.deepEqual([notices, failures], [[], []])
})

test('one notice for a directory that both kinds share, with the reason', async (t) => {
  const directory = scratch(t)
  const file = join(directory, 'file')
  writeFileSync(file, '')
  const { report, notices } = listener()
  await prepareDirectories([file, file], hostname(), report)
  assert.equal(notices.length, 1)
  assert.match(notices[0] ?? '', /file cannot be written, dumps to it will fail: ENOTDIR/)
})

test('a directory that other users can write is named, with the level that lets them', async (t) => {
  const level = join(scratch(t), 'level')
  const directory = join(level, 'dumps')
  mkdirSync(level)
  chmodSync(level, 0o777)
  const { report, notices } = listener()
  await prepareDirectories([directory, directory], hostname(), report)
  assert.equal(notices.length, 1)
  assert.ok(notices[0]?.includes(directory) && notices[0].includes(`${level} is writable for all users`))
})

test('a directory whose new files do not count as own is named, with what does not work there', async (t) => {
  const directory = scratch(t)
  const users = process as { getuid: () => number; geteuid: () => number }
  for (const name of ['getuid', 'geteuid'] as const) t.mock.method(users, name, () => 4242)
  const { report, notices } = listener()
  await prepareDirectories([directory], hostname(), report)
  const line = notices.find((notice) => notice.includes('do not count'))
  assert.match(line ?? '', /because new files there belong to the user \d+: keep does not delete them/)
})

test(
  'a crowd of planted names is reported once, not at every dump',
  { skip: process.geteuid?.() !== 0 && 'only root can give files away' },
  async (t) => {
    const directory = scratch(t)
    for (let n = 0; n <= MAX_FOREIGN_NAMES; n++) {
      const file = join(directory, `cpu-${n + 1}-1.cpuprofile.json`)
      writeFileSync(file, '')
      chownSync(file, 65534, 65534)
    }
    const { report, notices, failures } = listener()
    const retain = retainer(hostname(), 1, report)
    for (let dump = 0; dump < 3; dump++) await retain(directory, join(directory, 'cpu-1-2.cpuprofile'))
    assert.equal(notices.length, 1)
    assert.match(notices[0] ?? '', /old dumps may remain in /)
    assert.deepEqual(failures, [])
  },
)
