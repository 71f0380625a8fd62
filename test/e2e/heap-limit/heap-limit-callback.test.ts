import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { isRunning } from '../fork/forked-child'
import { files } from '../monitor/app'
import { type Death, die } from './heap-limit'

/** Longer than any test takes, ms: a process that is held for it fails by its own time limit. */
const LONG_MS = 300_000

const dieWith = (t: TestContext, job: string, holdMs: number, execArgv: string[] = []): Promise<Death> =>
  die(t, { program: 'callback.js', options: 'none', args: [job, String(holdMs)], execArgv })

describe("V8's callback at the heap limit", () => {
  test('forks again when a child crashed, as one that needs a thread of V8 does', async (t) => {
    const death = await dieWith(t, 'writes at the second fork', LONG_MS)
    assert.match(death.line ?? '', /a forked child has written/)
    assert.deepEqual(files(death), ['written-2'])
  })

  test('forks again when a child waited for a thread that was not forked with it', async (t) => {
    const death = await dieWith(t, 'waits for a thread at the first fork', LONG_MS)
    assert.match(death.line ?? '', /a forked child has written/)
    assert.deepEqual(files(death), ['written-2'])
  })

  test('has a child that leaves no report when it ends before its job', async (t) => {
    const death = await dieWith(t, 'does not begin: no memory', LONG_MS, ['--report-on-fatalerror'])
    assert.match(death.line ?? '', /no dump: the forked child ended by signal \d+ \(attempt 5\)$/)
    const [report = '', ...more] = files(death)
    assert.deepEqual(more, [])
    assert.match(report, /^report\..*\.json$/)
  })

  test('gives up after five forks', async (t) => {
    const death = await dieWith(t, 'aborts', LONG_MS)
    assert.match(death.line ?? '', /no dump: the forked child ended by signal 6 \(attempt 5\)$/)
    assert.deepEqual(files(death).sort(), ['began-1', 'began-2', 'began-3', 'began-4', 'began-5'])
    assert.deepEqual([death.code, death.signal], await endOfTwin(t))
  })

  test('does not fork again when a child crashed that has written, of a process that is held to the end', async (t) => {
    const death = await dieWith(t, 'reports and aborts, held to its end', LONG_MS)
    assert.match(death.line ?? '', /a forked child ended while writing/)
    assert.deepEqual(files(death), ['collected-1'])
  })

  test('does not fork again when the job failed', async (t) => {
    const death = await dieWith(t, 'fails', LONG_MS)
    assert.match(death.line ?? '', /no dump: the forked child ended with code 70 \(attempt 1\)$/)
    assert.deepEqual(files(death), ['began-1'])
  })

  test('names in its line the files that were written, not those that were planned', async (t) => {
    const death = await dieWith(t, 'writes the profile, but not the snapshot', LONG_MS)
    assert.match(death.line ?? '', /a forked child has written .*\.heapprofile$/)
  })

  test('names in its line what could not be created', async (t) => {
    const death = await dieWith(t, 'creates no file', LONG_MS)
    assert.match(death.line ?? '', /no dump: the forked child could not create its file in \/\S+$/)
    assert.deepEqual(files(death), ['began-1'])
    const partly = await dieWith(t, 'creates the file of the profile alone', LONG_MS)
    assert.match(
      partly.line ?? '',
      /a forked child could not create the file for the snapshot, but has written \S+\.heapprofile$/,
    )
  })

  test('does not fork again, and names the reason, when other processes have spent the budget', async (t) => {
    const death = await dieWith(t, 'finds the budget spent', LONG_MS)
    assert.match(death.line ?? '', /no dump: limited: other processes have just used up the budget of dumps$/)
    assert.deepEqual(files(death), ['began-1'])
  })

  test('has a child that neither forks nor carries out orders for the application', async (t) => {
    const death = await dieWith(t, 'gets an order', LONG_MS)
    const answers = JSON.parse(readFileSync(join(death.directory, 'answers'), 'utf8')) as object
    assert.deepEqual(answers, {
      forked: 'fork: a forked child must not fork again',
      ordered: '{"error":"a forked child does not carry out requests to the application"}',
    })
  })

  test('holds the process until its child reports that it has collected, and no longer', async (t) => {
    const death = await dieWith(t, 'reports after half a second', LONG_MS)
    assert.ok(existsSync(join(death.directory, 'collected-1')), 'the process died before the report')
    assert.match(death.line ?? '', /a forked child is writing/)
    endChild(death, 'collected-1')
    assert.deepEqual([death.code, death.signal], await endOfTwin(t))
  })

  test('holds it no longer than it may when no report comes', async (t) => {
    const death = await dieWith(t, 'reports nothing', 1000)
    assert.match(death.line ?? '', /a forked child is writing/)
    endChild(death, 'began-1')
  })
})

/** The child's job would go on for a minute. */
function endChild({ directory }: Death, file: string): void {
  const pid = Number(readFileSync(join(directory, file), 'utf8'))
  assert.ok(isRunning(pid), 'the child ended with its parent')
  process.kill(pid, 'SIGKILL')
}

async function endOfTwin(t: TestContext): Promise<readonly unknown[]> {
  const { code, signal } = await die(t, { options: 'none' })
  return [code, signal]
}
