import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { scratch } from '../../../harness/program'
import { type ForkingServer, startForkingServer, whyNoHelper } from './forking-server'

const skip = whyNoHelper()

/** Resolves when the file is there. The test's own time limit is the bound. */
async function appearance(file: string): Promise<void> {
  while (!existsSync(file)) await sleep(5)
}

/** Forks a child that works until `file` appears. Resolves when it works. */
async function forkBusyChild(context: TestContext, server: ForkingServer, file: string): Promise<number> {
  server.send(`fork outlast ${file}`)
  const { pid } = await server.line((line) => line.resultDescriptor !== undefined)
  context.after(() => {
    if (isRunning(pid as number)) process.kill(pid as number, 'SIGKILL')
  })
  await appearance(`${file}.started`)
  return pid as number
}

function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

async function bind(port: number): Promise<void> {
  const listener = net.createServer().listen(port, '127.0.0.1')
  await once(listener, 'listening')
  listener.close()
}

const options = { skip, timeout: 60_000 }

test('the application serves while the child works, and ends by itself', options, async (context) => {
  const file = path.join(scratch(context), 'go')
  const server = await startForkingServer(context)
  const pid = await forkBusyChild(context, server, file)
  const response = await fetch(`http://127.0.0.1:${server.port}/`, { headers: { connection: 'close' } })
  assert.equal(await response.text(), 'served')
  writeFileSync(file, '')
  const ended = await server.line((line) => line.end !== undefined)
  assert.deepEqual([ended.pid, ended.end, ended.result], [pid, { code: 0 }, 'outlasted'])
  assert.equal(await server.stop(), 0)
})

test('V8 is left out of forks again, and programs start as before', options, async (context) => {
  const server = await startForkingServer(context)
  const marks = async (): Promise<number> => {
    server.send('marks')
    return (await server.line((line) => line.marks !== undefined)).marks as number
  }
  const before = await marks()
  assert.ok(before > 0)
  for (const survey of [false, true]) {
    if (survey) server.send('survey')
    await server.forkAndWait('print')
    const after = await marks()
    assert.ok(after >= before * 0.8, `${after} of ${before} mappings, survey in advance: ${survey}`)
  }
  server.send('spawn')
  assert.equal((await server.line((line) => line.spawned !== undefined)).spawned, 0)
})

test('libuv and the helper reap their own children only', options, async (context) => {
  const file = path.join(scratch(context), 'go')
  const server = await startForkingServer(context)
  const pid = await forkBusyChild(context, server, file)
  for (let count = 0; count < 3; count++) {
    server.send('spawn')
    assert.equal((await server.line((line) => line.spawned !== undefined)).spawned, 0)
  }
  writeFileSync(file, '')
  assert.deepEqual((await server.line((line) => line.end !== undefined)).end, { code: 0 })
  server.send(`wait ${pid}`)
  assert.deepEqual((await server.line((line) => line.end !== undefined)).end, { lost: true })
})

test(
  'a child finishes although its parent was killed, and the port is free meanwhile',
  options,
  async (context) => {
    const file = path.join(scratch(context), 'go')
    const server = await startForkingServer(context)
    const pid = await forkBusyChild(context, server, file)
    server.process.kill('SIGKILL')
    await once(server.process, 'exit')
    assert.ok(isRunning(pid))
    await bind(server.port)
    writeFileSync(file, '')
    await appearance(`${file}.finished`)
    while (isRunning(pid)) await sleep(5)
  },
)

test('the output of the application ends with the application', options, async (context) => {
  const file = path.join(scratch(context), 'go')
  const server = await startForkingServer(context)
  const pid = await forkBusyChild(context, server, file)
  const ends = Promise.all([once(server.process.stdout!, 'close'), once(server.process.stderr!, 'close')])
  server.process.kill('SIGKILL')
  await ends
  assert.ok(isRunning(pid))
})

test(
  'a signal to the group ends the child; the application handles it as it likes',
  options,
  async (context) => {
    const file = path.join(scratch(context), 'go')
    const server = await startForkingServer(context, {}, true)
    await forkBusyChild(context, server, file)
    process.kill(-(server.process.pid as number), 'SIGTERM')
    assert.deepEqual((await server.line((line) => line.end !== undefined)).end, { signal: 15 })
    await server.line((line) => line.signal === 'SIGTERM')
    assert.equal(await server.stop(), 0)
  },
)

test('a stopped child does not stop the application, and can be killed', options, async (context) => {
  const file = path.join(scratch(context), 'go')
  const server = await startForkingServer(context)
  const pid = await forkBusyChild(context, server, file)
  process.kill(pid, 'SIGSTOP')
  server.send('spawn')
  assert.equal((await server.line((line) => line.spawned !== undefined)).spawned, 0)
  process.kill(pid, 'SIGKILL')
  assert.deepEqual((await server.line((line) => line.end !== undefined)).end, { signal: 9 })
})

test('the kernel ends a child at its deadline', options, async (context) => {
  const file = path.join(scratch(context), 'never')
  const server = await startForkingServer(context, { DEADLINE: '1' })
  assert.deepEqual(await server.forkAndWait(`outlast ${file}`), { end: { signal: 14 }, result: '' })
})

test('two children at a time end each by itself', options, async (context) => {
  const directory = scratch(context)
  const server = await startForkingServer(context)
  const first = await forkBusyChild(context, server, path.join(directory, 'first'))
  const second = await forkBusyChild(context, server, path.join(directory, 'second'))
  writeFileSync(path.join(directory, 'second'), '')
  assert.equal((await server.line((line) => line.end !== undefined)).pid, second)
  assert.ok(isRunning(first))
  writeFileSync(path.join(directory, 'first'), '')
  assert.equal((await server.line((line) => line.end !== undefined)).pid, first)
})

test('what cannot work is refused by name, and forks nothing', options, async (context) => {
  const server = await startForkingServer(context)
  server.send('refusals')
  const { refusals = [] } = await server.line((line) => line.refusals !== undefined)
  assert.equal(refusals.length, 9)
  for (const refusal of refusals) assert.match(refusal, /^TypeError: /)
  server.send('forkInWorker')
  assert.match(
    (await server.line((line) => line.refused !== undefined)).refused ?? '',
    /only the main thread/,
  )
})
