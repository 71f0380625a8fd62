import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import ts from 'typescript'
import { REGISTER, repository, run } from './twins'

const IS_WATCHED = join(__dirname, 'programs/is-watched.js')

function evidence(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'register-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

function watched(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}, options = '') {
  const directory = evidence(t)
  const all = { EVIDENCE: directory, ...env }
  const { stdout, ...rest } = run(
    { name: '', file: process.execPath, args, env: all },
    directory,
    options || `--require ${REGISTER}`,
  )
  // The lines of a logger that writes to stdout may come later.
  const last = stdout.split('\n').findLast((line) => line.startsWith('{'))
  return { ...rest, stdout, state: JSON.parse(last ?? '') as unknown }
}

const ON = { claims: ['cpu', 'memory', 'heap-limit'], isPreloaded: true }
const OFF = { claims: [], isPreloaded: false }

describe('register', { concurrency: 1 }, () => {
  test('watches a program that knows nothing of it, and prints nothing', (t) => {
    const { state, stderr } = watched(t, [IS_WATCHED])
    assert.deepEqual(state, ON)
    assert.equal(stderr, '')
  })

  test('by --import as well, and once where both name it', (t) => {
    assert.deepEqual(watched(t, [IS_WATCHED], {}, `--import ${REGISTER}`).state, ON)
    const both = watched(t, [IS_WATCHED], {}, `--require ${REGISTER} --import ${REGISTER}`)
    assert.deepEqual([both.state, both.stderr], [ON, ''])
  })

  test('not when it is switched off, nor in part', (t) => {
    assert.deepEqual(watched(t, [IS_WATCHED], { CMM_ENABLED: 'false' }).state, OFF)
    assert.deepEqual(watched(t, [IS_WATCHED], { CMM_MEMORY: 'false' }).state, { ...ON, claims: ['cpu'] })
  })

  test('a wrong variable is one line, and the program runs without a monitor', (t) => {
    for (const env of [
      { CMM_CPU_THRESHOLD: 'much' },
      { CMM_CPU_TRESHOLD: '60' },
      { CMM_CONFIG: '/none.json' },
    ]) {
      const { state, stderr, status } = watched(t, [IS_WATCHED], env)
      assert.deepEqual([state, status], [OFF, 0])
      assert.match(
        stderr,
        new RegExp(`^cpu-memory-monitor: not started: ${Object.keys(env).join()}[^\\n]*\\n$`),
      )
    }
  })

  test('leaves an application that calls the monitor itself to its own options, with one line', (t) => {
    const { state, stdout, stderr } = watched(t, [IS_WATCHED, 'call'])
    assert.deepEqual(state, { claims: ['memory', 'heap-limit'], isPreloaded: false })
    assert.equal(`${stdout}${stderr}`.match(/starts the monitor itself/g)?.length, 1)
  })

  test('leaves the package managers alone, and a script of another name not', (t) => {
    for (const name of [
      'npm-cli.js',
      'npx-cli.js',
      'yarn.js',
      'yarn-4.9.1.cjs',
      'pnpm.cjs',
      'corepack.js',
      'npm',
    ]) {
      const script = join(evidence(t), name)
      writeFileSync(script, readFileSync(IS_WATCHED))
      assert.deepEqual(watched(t, [script]).state, OFF, name)
    }
    const script = join(evidence(t), 'npm-statistics.js')
    writeFileSync(script, readFileSync(IS_WATCHED))
    assert.deepEqual(watched(t, [script]).state, ON)
  })

  test('dumps, and only then prints what it watches and the dump', (t) => {
    const directory = evidence(t)
    const env = {
      CMM_PROFILE_DIR: join(directory, 'new'),
      CMM_MEMORY_THRESHOLD: '1',
      CMM_MEMORY_COUNTER: '1',
      CMM_MEMORY_LIMITER: '[1, "day"]',
      CMM_CPU: 'false',
    }
    const wait = `const { existsSync, readdirSync } = require('node:fs')
      const isThere = () => existsSync('new') && readdirSync('new').some((name) => name.endsWith('.heapsnapshot'))
      const timer = setInterval(() => isThere() && (clearInterval(timer), setTimeout(() => {}, 200)), 50)`
    const { stderr, stdout, status } = run(
      { name: '', file: process.execPath, args: ['-e', wait], env },
      directory,
      `--require ${REGISTER}`,
    )
    assert.deepEqual([status, stdout], [0, ''])
    assert.match(stderr, /^cpu-memory-monitor: watching memory above 1B .*\n(.*\n)*.*threshold memory dump: /)
    assert.ok(readdirSync(env.CMM_PROFILE_DIR).some((name) => /^memory-.*\.heapsnapshot$/.test(name)))
  })

  test('is a script that the oldest Node.js can read, and says one line there', (t) => {
    const directory = evidence(t)
    const pretend = join(directory, 'pretend.js')
    writeFileSync(pretend, "Object.defineProperty(process.versions, 'node', { value: '16.20.2' })")
    const { stderr, status } = run(
      { name: '', file: process.execPath, args: ['-e', ''] },
      directory,
      `--require ${pretend} --require ${REGISTER}`,
    )
    assert.equal(stderr, 'cpu-memory-monitor: not started: needs Node.js 20 or later; this is 16.20.2\n')
    assert.equal(status, 0)
    // What TypeScript would have to rewrite for ES2015 is newer than that.
    const text = readFileSync(join(repository, 'dist/register.js'), 'utf8')
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: { target: ts.ScriptTarget.ES2015, module: ts.ModuleKind.ESNext },
    })
    const tokens = (source: string) => source.replace(/\/\/.*|\s+/g, '')
    assert.equal(tokens(outputText).replace('export{};', ''), tokens(text))
  })
})
