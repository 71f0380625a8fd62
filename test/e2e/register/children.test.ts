import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { REGISTER, repository, run } from './twins'

const NAME = 'cpu-memory-monitor/register'

/** An application that has the package, and a directory below which another user has put one of the same name. */
function places(t: TestContext): { application: string; elsewhere: string; nowhere: string } {
  const top = mkdtempSync(join(tmpdir(), 'register-children-'))
  t.after(() => rmSync(top, { recursive: true, force: true }))
  const [application, elsewhere, nowhere] = ['application', 'elsewhere', 'nowhere'].map((name) =>
    join(top, name),
  ) as [string, string, string]
  for (const directory of [application, elsewhere])
    mkdirSync(join(directory, 'node_modules'), { recursive: true })
  mkdirSync(nowhere)
  symlinkSync(repository, join(application, 'node_modules/cpu-memory-monitor'))
  const planted = join(elsewhere, 'node_modules/cpu-memory-monitor')
  mkdirSync(planted)
  writeFileSync(join(planted, 'register.js'), "console.log('of a stranger')")
  writeFileSync(join(planted, 'package.json'), '{"exports":{"./register":"./register.js"}}')
  return { application, elsewhere, nowhere }
}

const printed = (cwd: string, args: readonly string[], options: string) =>
  run({ name: '', file: process.execPath, args, env: { CMM_MEMORY_SAMPLING: 'false' } }, cwd, options)

/** A program whose child prints whether it is watched. */
const parent = (cwd: string) => `
  const isOn = "console.log(process.listenerCount('SIGUSR2') > 0 ? 'watched' : 'not watched')"
  const options = { cwd: ${JSON.stringify(cwd)}, stdio: 'inherit' }
  process.exitCode = require('node:child_process').spawnSync(process.execPath, ['-e', isOn], options).status`

describe('children of a preload', { concurrency: 1 }, () => {
  for (const flag of ['--require ', '-r ', '--require=', '--require="', '--import ', '--import='])
    test(`by ${flag}${NAME} load the same file, whatever their working directory`, (t) => {
      const { application, elsewhere, nowhere } = places(t)
      const options = `${flag}${NAME}${flag.endsWith('"') ? '"' : ''}`
      for (const cwd of flag === '--require ' ? [elsewhere, nowhere] : [elsewhere])
        assert.deepEqual(printed(application, ['-e', parent(cwd)], options), {
          ...{ status: 0, signal: null, stdout: 'watched\n', stderr: '' },
        })
    })

  test('that are forked load it too', (t) => {
    const { application, elsewhere } = places(t)
    const script = join(application, 'script.js')
    const fork = `if (process.argv[2]) {
        const { fork } = require('node:child_process')
        fork(__filename, [], { cwd: process.argv[2] }).on('exit', (code) => (process.exitCode = code))
      } else console.log('forked')`
    writeFileSync(script, fork)
    for (const flag of [['--require', NAME], [`--require=${NAME}`], ['--import', NAME]])
      assert.deepEqual(printed(application, [...flag, script, elsewhere], ''), {
        ...{ status: 0, signal: null, stdout: 'forked\n', stderr: '' },
      })
  })

  test('inherit all else as it was given, byte for byte', (t) => {
    const { application } = places(t)
    const near = join(application, 'node_modules/near/cpu-memory-monitor')
    mkdirSync(near, { recursive: true })
    writeFileSync(join(near, 'register.js'), '')
    const show = ['-e', 'console.log(JSON.stringify([process.env.NODE_OPTIONS, process.execArgv]))']
    const shown = (options: string): unknown => JSON.parse(printed(application, show, options).stdout)
    const around = (word: string) =>
      `--no-warnings   --title="a  --require ${NAME} b" --require ${word}  --require ./node_modules/near/${NAME} --max-old-space-size=300 `
    assert.deepEqual(shown(around(NAME)), [around(REGISTER), show])
    for (const word of [REGISTER, `./node_modules/cpu-memory-monitor/dist/register.js`])
      assert.deepEqual(shown(around(word)), [around(word), show])
    assert.deepEqual(shown(`--import ${NAME}`), [`--import ${pathToFileURL(REGISTER).href}`, show])
    // However Node lets it be quoted.
    for (const [given, named] of [
      [`"--require=${NAME}"`, `--require=${REGISTER}`],
      [`"--require" ${NAME}`, `"--require" ${REGISTER}`],
      [`"-r" "" "${NAME}" --no-warnings`, `"-r" "" ${REGISTER} --no-warnings`],
      ['--require cpu-memory-monitor/regist"e"r', `--require ${REGISTER}`],
      [`--require "cpu-memory-monitor\\/register"`, `--require ${REGISTER}`],
    ] as const)
      assert.deepEqual(shown(given), [named, show], given)
  })
})
