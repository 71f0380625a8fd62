import assert from 'node:assert/strict'
import { readFileSync, readlinkSync } from 'node:fs'
import { constants, getPriority } from 'node:os'
import { test } from 'node:test'
import { startForkingServer, whyNoHelper } from './forking-server'

const skip = whyNoHelper()

interface Description {
  readonly descriptors: readonly string[]
  readonly readsItsFile: string
  readonly threads: number
  readonly name: string
  readonly caught: string
  readonly blocked: string
  readonly ignored: string
  readonly dataBytes: number
  readonly dataLimitBytes: number
  readonly coreLimitBytes: number
  readonly oomScore: number
  readonly niceness: number
  readonly group: number
  readonly directory: string
}

function isSet(mask: string, signal: number): boolean {
  return (BigInt(`0x${mask}`) & (1n << BigInt(signal - 1))) !== 0n
}

/** No terminal, no reader and no limit on files ends the child. */
const ALWAYS_IGNORED = [constants.signals.SIGHUP, constants.signals.SIGPIPE, constants.signals.SIGXFSZ]
const { SIGALRM, SIGUSR2 } = constants.signals

test('the child has nothing of the application but its memory', { skip }, async (context) => {
  const server = await startForkingServer(context, { ALLOWANCE: String(2 ** 28) })
  const { end, result } = await server.forkAndWait('describe')
  assert.deepEqual(end, { code: 0 })
  const child = JSON.parse(result) as Description

  const harmless = ['/dev/null', process.execPath, 'gone']
  const foreign = child.descriptors.filter((target) => !harmless.includes(target))
  assert.deepEqual(foreign, ['pipe'], 'one descriptor is left, for its result')
  assert.equal(child.readsItsFile, 'EBADF', 'nothing can be done to files')
  assert.ok(child.descriptors.length > 10, 'descriptors are replaced, not closed')
  assert.equal(child.threads, 1)
  for (let signal = 1; signal <= 31; signal++) {
    assert.equal(isSet(child.caught, signal), false, `signal ${signal} has no handler`)
    assert.equal(isSet(child.blocked, signal), false, `signal ${signal} is not blocked`)
    assert.equal(
      isSet(child.ignored, signal),
      ALWAYS_IGNORED.includes(signal),
      `signal ${signal} does what it does by default`,
    )
  }
})

test(
  'the child ignores the signal that orders dumps, but not the one that ends a late child',
  { skip },
  async (context) => {
    for (const [signal, isIgnored] of [
      [SIGUSR2, true],
      [SIGALRM, false],
    ] as const) {
      const server = await startForkingServer(context, { IGNORES: String(signal) })
      const child = JSON.parse((await server.forkAndWait('describe')).result) as Description
      assert.equal(isSet(child.ignored, signal), isIgnored, `signal ${signal}`)
    }
  },
)

test('the child cannot crowd the application out', { skip }, async (context) => {
  const server = await startForkingServer(context, { ALLOWANCE: String(2 ** 28) })
  const child = JSON.parse((await server.forkAndWait('describe')).result) as Description
  assert.equal(child.oomScore, 1000)
  assert.equal(child.coreLimitBytes, 0)
  assert.equal(child.niceness, getPriority(server.process.pid) + 3)
  const allowed = child.dataLimitBytes - child.dataBytes
  assert.ok(Math.abs(allowed - 2 ** 28) < 2 ** 26, `${allowed} bytes are allowed on top of what there was`)
})

test(
  'the child stands as far from the OOM killer as the application, where all of a group are killed with the first',
  {
    skip,
  },
  async (context) => {
    const server = await startForkingServer(context, { VOLUNTEERS: 'false' })
    const child = JSON.parse((await server.forkAndWait('describe')).result) as Description
    const own = Number(readFileSync(`/proc/${server.process.pid}/oom_score_adj`, 'utf8'))
    if (own === 1000) context.skip('here the application itself comes first: nothing can be told')
    assert.equal(child.oomScore, own)
  },
)

test('the child can be told apart and stopped with its group', { skip }, async (context) => {
  const server = await startForkingServer(context, {}, true)
  const child = JSON.parse((await server.forkAndWait('describe')).result) as Description
  assert.equal(child.name, 'heap-snapshot')
  assert.equal(child.group, server.process.pid)
  assert.equal(child.directory, readlinkSync(`/proc/${server.process.pid}/cwd`))
})

test('what the child prints goes nowhere', { skip }, async (context) => {
  const server = await startForkingServer(context)
  assert.deepEqual(await server.forkAndWait('print'), { end: { code: 0 }, result: 'printed' })
  assert.equal(await server.stop(), 0)
  assert.equal(server.errorOutput(), '')
})

test('a child that runs out of memory ends, and in silence', { skip }, async (context) => {
  const server = await startForkingServer(context, { ALLOWANCE: String(2 ** 27), NODE_OPTIONS: '' })
  for (const job of ['exhaust', 'exhaustHeap']) {
    const { end, result } = await server.forkAndWait(job)
    assert.notDeepEqual(end, { code: 0 })
    assert.equal(result, '')
  }
  assert.equal(await server.stop(), 0)
  assert.equal(server.errorOutput(), '')
})

test('a child that waits for a thread says so at once', { skip }, async (context) => {
  const server = await startForkingServer(context)
  assert.deepEqual(await server.forkAndWait('wait'), { end: { code: 75 }, result: '' })
})

test(
  'a job that throws or answers too much has failed; one that answers at length has not',
  { skip },
  async (context) => {
    const server = await startForkingServer(context)
    for (const job of ['throw', 'answerAtLength 4097', 'answerWithNothing']) {
      assert.deepEqual(await server.forkAndWait(job), { end: { code: 70 }, result: '' }, job)
    }
    assert.deepEqual(await server.forkAndWait('answerAtLength 4096'), {
      end: { code: 0 },
      result: 'x'.repeat(4096),
    })
  },
)
