// Globals that the application removes or replaces, and prototypes that a request has polluted.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test, type TestContext } from 'node:test'
import { isLong, SIDE_BY_SIDE } from './attacker'
import { scratch } from './second-user'
import { cleanEnvironment, PACKAGE, PROGRAMS } from './victim'

/** Changes that are made together, one program for each row. */
const REMOVED = [
  'withoutAtomics',
  'withoutAbortController',
  'withoutSharedArrayBuffer+withoutStructuredClone+withoutWebAssembly+withoutPerformance+withoutQueueMicrotask',
  'frozen+frozenPrototypes',
]
const REPLACED = ['random+kill+date', 'json+symbol', 'timers']

/** Names of its own that the monitor once read from objects on which they were missing. */
const NAMES = ['skip', 'failed', 'told', 'signal', 'limitBytes', 'cannot', 'early', 'reading']

/** Names that break Node itself, whatever the monitor does: a promise with `then`, an error with `error`. */
const BREAKS_NODE = new Set([
  'then',
  'error',
  'get',
  'set',
  'value',
  'writable',
  'enumerable',
  'configurable',
  '__proto__',
])

describe('globals', { concurrency: SIDE_BY_SIDE + 1 }, () => {
  for (const watchdog of [true, false]) {
    const place = watchdog ? 'watched on its own thread' : 'watched on the main thread'

    for (const [row, changes] of [
      ['F18', REMOVED],
      ['H19', REPLACED],
    ] as const) {
      for (const change of changes) {
        test(`${row} globals ${change} after the start: the host lives, ${place}`, async (t) => {
          const { status, stdout, stderr } = await harden(t, watchdog, change)
          const isNodesOwn = status !== 0 && (await harden(t, watchdog, change, 'bare')).status !== 0
          if (isNodesOwn) return t.skip(`it ends the program without a monitor as well: ${stderr}`)
          assert.equal(status, 0, stderr)
          const dumps = JSON.parse(stdout) as string[]
          assert.equal(dumps.length, 2)
          if (row === 'F18') for (const dump of dumps) assert.match(dump, /^\//)
        })
      }
    }

    describe(`Object.prototype polluted, ${place}`, () => {
      const row = watchdog ? 'H18' : 'F19'
      for (const value of isLong ? ['"x"', '{}', '1', 'true'] : ['"x"']) {
        test(`${row} by ${value}: each dump is made or is a failure, and none after it suffers, ${place}`, async (t) => {
          const fates = await pollute(t, watchdog, value, NAMES)
          assert.deepEqual([...fates.keys()], NAMES)
          // What breaks Node's own sockets may cost that dump, never the next one.
          const lost = [...fates].filter(([name, fate]) => name !== 'reading' && fate !== 'file\tfile')
          assert.deepEqual(lost, [])
        })
      }
    })

    test(
      `${watchdog ? 'H18' : 'F19'} by each name that the code has: nothing hangs, ${place}`,
      { skip: !isLong && 'the long list is for npm run accept -- attacks' },
      async (t) => {
        const names = namesOfTheCode()
        const fates = await pollute(t, watchdog, '"x"', names)
        const hung = names.filter((name) => !fates.has(name))
        const quiet = [...fates].filter(([, fate]) => fate.includes('undefined'))
        t.diagnostic(
          `${t.name}: ${names.length} names, ${[...fates.values()].filter((fate) => fate === 'file\tfile').length} whole`,
        )
        assert.deepEqual(hung, [])
        assert.deepEqual(quiet, [])
      },
    )
  }
})

function harden(
  t: TestContext,
  watchdog: boolean,
  change: string,
  ...bare: string[]
): ReturnType<typeof run> {
  const options = {
    profileDir: scratch(t),
    watchdog,
    cpu: { threshold: 100_000 },
    memory: { threshold: '900gb' },
  }
  return run(['hardened.js', JSON.stringify(options), change, ...bare])
}

async function run([program = '', ...args]: string[]): Promise<{
  status: number | null
  stdout: string
  stderr: string
}> {
  const child = spawn(process.execPath, [join(PROGRAMS, program), ...args], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ])
  return { status, stdout, stderr }
}

/** How long one name may keep the program: a dump that hangs waits for ever. */
const NAME_MS = 30_000

/** @returns What became of the dumps, by name. A name at which the program hung or ended has none; the next program goes on after it. */
async function pollute(
  t: TestContext,
  watchdog: boolean,
  value: string,
  names: readonly string[],
): Promise<Map<string, string>> {
  const fates = new Map<string, string>()
  const options = JSON.stringify({ profileDir: scratch(t), watchdog, keep: false })
  for (let from = 0; from < names.length;) {
    const args = [join(PROGRAMS, 'polluted.js'), options, value, names.slice(from).join()]
    const child = spawn(process.execPath, args, {
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let output = ''
    const kill = (): boolean => child.kill('SIGKILL')
    t.after(kill)
    let timer = setTimeout(kill, NAME_MS)
    child.stdout.on('data', (chunk) => {
      output += String(chunk)
      clearTimeout(timer)
      timer = setTimeout(kill, NAME_MS)
    })
    await new Promise((resolve) => child.on('close', resolve))
    clearTimeout(timer)
    const lines = output.split('\n').slice(0, -1)
    for (const line of lines) fates.set(line.slice(0, line.indexOf('\t')), line.slice(line.indexOf('\t') + 1))
    from += lines.length + 1
  }
  return fates
}

/** Names that stand after a dot, or before a colon, in what was built. */
function namesOfTheCode(): string[] {
  const files = readdirSync(join(PACKAGE, 'dist'), { recursive: true, encoding: 'utf8' })
  const source = files
    .filter((file) => file.endsWith('.js') && !file.startsWith('cluster'))
    .map((file) => readFileSync(join(PACKAGE, 'dist', file), 'utf8'))
  const names = source.join('\n').matchAll(/(?<=\.|\?\.)[a-z]\w+|\b[a-z]\w+(?=\??:)/g)
  const all = [...new Set([...names].map(([name]) => name))].filter((name) => !BREAKS_NODE.has(name)).sort()
  // A quarter on each of the four Nodes.
  const quarter = Math.trunc(Number.parseInt(process.versions.node, 10) / 2) % 4
  return all.filter((_name, index) => index % 4 === quarter)
}
