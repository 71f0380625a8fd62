import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { scratch } from '../../harness/program'
import { installLibrary } from '../../unit/capture/package-copy'

/** Calls the monitor and reports which files and which modules of Node the call has loaded, and whether a thread runs. */
const PROGRAM = `
  const before = new Set(process.moduleLoadList)
  const { readdirSync } = require('node:fs')
  const threads = () => readdirSync('/proc/self/task').length
  const threadsBefore = threads()
  require(process.argv[1])(JSON.parse(process.argv[2]))
  const report = () => {
    const files = Object.keys(require.cache)
    const builtins = process.moduleLoadList.filter((name) => !before.has(name))
    console.log(JSON.stringify({ files, builtins, hasThread: threads() > threadsBefore }))
  }
  if (process.argv[3] === 'turns') setTimeout(report, 500)
  else report()
`

interface Loaded {
  readonly files: string[]
  readonly builtins: string[]
  readonly hasThread: boolean
}

async function loadedBy(t: TestContext, options: object, turns = ''): Promise<Loaded> {
  const application = scratch(t)
  const library = installLibrary(application)
  const given = JSON.stringify({ profileDir: application, logger: false, ...options })
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', PROGRAM, library, given, turns], {
    timeout: 60_000,
    env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' },
  })
  const loaded = JSON.parse(stdout) as Loaded
  return { ...loaded, files: loaded.files.map((file) => relative(realpathSync(library), file)) }
}

/** The native helper, where there is one for this machine. */
const addon = (files: readonly string[]) => files.filter((file) => file.endsWith('.node'))

/** A share that no warning speaks of: a line with a size in it loads the package that formats sizes. */
const SHARES = { cpu: { threshold: '90%' }, memory: { threshold: '1%' } }
const SLOW = ['crypto', 'net', 'child_process', 'perf_hooks', 'fs/promises'].map(
  (name) => `NativeModule ${name}`,
)
const FIRST = ['dist/index.js', 'dist/base/globals.js', 'dist/base/time.js']
const REST = 'dist/monitor/start/start.js'

test('the call loads what cannot wait, and nothing of what only a dump or the thread needs', async (t) => {
  const { files, builtins, hasThread } = await loadedBy(t, SHARES)
  assert.deepEqual(files.sort(), [...FIRST, ...addon(files)].sort())
  assert.equal(hasThread, false)
  assert.deepEqual(
    builtins.filter((name) => SLOW.includes(name)),
    [],
  )
})

test('the rest is there when the event loop has turned, or before the call returns with `startAtOnce`', async (t) => {
  const [turned, atOnce] = [
    await loadedBy(t, SHARES, 'turns'),
    await loadedBy(t, { ...SHARES, startAtOnce: true }),
  ]
  for (const { files, hasThread } of [turned, atOnce]) {
    assert.ok(files.includes(REST), files.join())
    assert.equal(hasThread, process.platform === 'linux')
  }
})

test('a size loads the package that reads it, and a watch on the main thread the modules that it needs', async (t) => {
  const { files, builtins } = await loadedBy(t, {
    ...SHARES,
    memory: { threshold: '1.2gb' },
    ...{ watchdog: false, startAtOnce: true },
  })
  assert.ok(
    files.some((file) => file.endsWith(join('bytes', 'index.js'))),
    files.join(),
  )
  assert.ok(builtins.includes('NativeModule crypto'), builtins.join())
})
