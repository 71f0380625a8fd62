import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { scratch } from '../../harness/program'
import { installLibrary } from '../../unit/capture/package-copy'

/** Calls the monitor and reports which files and which modules of Node the call has loaded. */
const PROGRAM = `
  const before = new Set(process.moduleLoadList)
  require(process.argv[1])(JSON.parse(process.argv[2]))
  const files = Object.keys(require.cache)
  const builtins = process.moduleLoadList.filter((name) => !before.has(name))
  console.log(JSON.stringify({ files, builtins }))
`

async function loadedBy(t: TestContext, options: object): Promise<{ files: string[]; builtins: string[] }> {
  const application = scratch(t)
  const library = installLibrary(application)
  const given = JSON.stringify({ profileDir: application, logger: false, ...options })
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', PROGRAM, library, given], {
    timeout: 60_000,
    env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' },
  })
  const { files, builtins } = JSON.parse(stdout) as { files: string[]; builtins: string[] }
  return { files: files.map((file) => relative(realpathSync(library), file)), builtins }
}

/** A share that no warning speaks of: a line with a size in it loads the package that formats sizes. */
const SHARES = { cpu: { threshold: '90%' }, memory: { threshold: '1%' } }
const SLOW = ['crypto', 'net', 'child_process', 'perf_hooks'].map((name) => `NativeModule ${name}`)

test('the call loads one file, and nothing of what only a dump or the thread needs', async (t) => {
  const { files, builtins } = await loadedBy(t, SHARES)
  assert.deepEqual(files, [join('dist', 'index.js')])
  assert.deepEqual(
    builtins.filter((name) => SLOW.includes(name)),
    [],
  )
})

test('a size loads the package that reads it, and a watch on the main thread the modules that it needs', async (t) => {
  const { files, builtins } = await loadedBy(t, {
    ...SHARES,
    memory: { threshold: '1.2gb' },
    watchdog: false,
  })
  assert.ok(
    files.some((file) => file.endsWith(join('bytes', 'index.js'))),
    files.join(),
  )
  assert.ok(builtins.includes('NativeModule crypto'), builtins.join())
})
