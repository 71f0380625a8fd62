import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { User } from './http-client'

const REPOSITORY = join(__dirname, '../../..')
const LATE_MS = 30_000

/** A copy of the example, beside the package, as a reader starts it. */
class RunningExample {
  readonly #program: ChildProcess
  readonly #late = AbortSignal.timeout(LATE_MS)
  output = ''

  constructor(t: TestContext, cwd: string, env: Record<string, string>) {
    copyFileSync(join(REPOSITORY, 'docs/examples/cluster/server.js'), join(cwd, 'server.js'))
    mkdirSync(join(cwd, 'node_modules'))
    symlinkSync(REPOSITORY, join(cwd, 'node_modules/cpu-memory-monitor'))
    this.#program = spawn(process.execPath, ['server.js'], {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    for (const stream of [this.#program.stdout, this.#program.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    }
    t.after(() => this.#endGroup())
  }

  /** What stands in the place of the group, of each line that is like this. */
  found(line: RegExp): string[] {
    return [...this.output.matchAll(new RegExp(line, 'gm'))].map(([, group = '']) => group)
  }

  async until(isTrue: () => boolean): Promise<void> {
    const { stdout } = this.#program
    while (stdout && !isTrue()) await once(stdout, 'data', { signal: this.#late })
  }

  async end(): Promise<unknown> {
    this.#program.kill('SIGTERM')
    const [code] = (await once(this.#program, 'close', { signal: this.#late })) as [number | null]
    return code
  }

  #endGroup(): void {
    try {
      process.kill(-(this.#program.pid ?? 0), 'SIGKILL')
    } catch {
      // All are gone.
    }
  }
}

test('the example replaces a worker, loses no order and closes what it opened', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'example-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const env = { PORT: '0', ORDERS: join(directory, 'orders.txt'), CPU_COUNT: '2', CHECK_INTERVAL: '100' }
  const example = new RunningExample(t, directory, env)
  await example.until(() => example.found(/^(\d+) serves/).length === 2)
  const port = Number(example.found(/listens on port (\d+)$/)[0])

  let orders = 0
  let isEnough = false
  const customers = [1, 2, 3].map(async () => {
    const user = new User(t, port)
    for (; !isEnough; orders += 1) {
      const { status, body } = await user.get('/')
      assert.equal(status, 200)
      assert.match(body, /^thank you, says \d+\n$/)
    }
    user.leave()
  })
  const served = Promise.all(customers)
  await Promise.race([served, example.until(() => example.found(/^(\d+) is gone/).length > 0)])
  isEnough = true
  await served
  assert.equal(await example.end(), 0)

  const opened = example.found(/^worker (\d+) listens/)
  const closed = example.found(/^worker (\d+) has closed its orders$/)
  assert.ok(opened.length >= 3, example.output)
  assert.deepEqual(closed.sort(), opened.sort())
  assert.ok(example.found(/^worker \d+ is to go: (over)$/).length > 0)
  assert.deepEqual(
    example.found(/ is gone after \d+ ms, code (.*)$/).filter((code) => code !== '0'),
    [],
  )
  assert.doesNotMatch(example.output, /is lost|end soon after|already|cpu-memory-monitor/)
  assert.equal(readFileSync(env.ORDERS, 'utf8').trimEnd().split('\n').length, orders)
})
