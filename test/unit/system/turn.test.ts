import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
// Built: only from there is the helper found, which asks the kernel.
import { type EndTurn, takeTurn, turnHolder, turnName } from '../../../dist/system/turn.js'
import { compileTo, noCompiler } from '../../harness/compiler'

const LONG_MS = Number(process.env['CLUSTER_PATIENCE_MS'] ?? 60_000)
let names = 0
const newName = () => `cmm-test/${process.pid}/${++names}`
const never = () => new AbortController().signal

async function taken(name: string): Promise<EndTurn> {
  const end = await takeTurn({ name, longestMs: LONG_MS, early: never() })
  assert.ok(end)
  return end
}

/** A program that loads the code under test, and what it does then. */
function program(action: string): readonly string[] {
  const file = require.resolve('../../../dist/system/turn.js')
  return ['-e', `const { takeTurn } = require(${JSON.stringify(file)}); ${action}`]
}

const termsOf = (name: string) =>
  `{ name: ${JSON.stringify(name)}, longestMs: ${LONG_MS}, early: new AbortController().signal }`

/** Another process that has the name of the turn. */
async function holder(t: TestContext, name: string, uid?: number, how = ''): Promise<ChildProcess> {
  const args = [join(__dirname, 'programs/holds-a-name.js'), name, uid ? String(uid) : '', how]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

/** Names that show as a line of their own, by which a socket of this process is the turn. */
async function forgedLines(t: TestContext, name: string): Promise<string[]> {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  const [inode] = /\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? []
  const line = `0000000000000001: 00000002 00000000 00010000 0001 01 ${inode} @${name}`
  return Array.from({ length: 12 }, (_, number) => `${number}\n${line}`)
}

/** Ways to occupy a name by a socket that is no plain one. */
const SOCKETS_OF_OTHERS = {
  bound: 'does not listen',
  connected: 'is connected instead of listening',
  full: 'has no room for a connection',
  handed: 'a program with the set-user-ID bit keeps',
}

/** Another user who has these names in that way. */
async function occupied(
  t: TestContext,
  names: readonly string[],
  how: keyof typeof SOCKETS_OF_OTHERS,
): Promise<ChildProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'occupies-'))
  t.after(() => rmSync(directory, { recursive: true }))
  chmodSync(directory, 0o755)
  const file = join(directory, 'occupies-names')
  compileTo(file, join(__dirname, 'programs/occupies-names.c'))
  chmodSync(file, 0o4755)
  const plain = join(directory, 'plain')
  copyFileSync(file, plain)
  chmodSync(plain, 0o755)
  const child = spawn(plain, ['65534', how, file, ...names], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

/** Names of the places in the queue for a turn that are occupied. */
function placesFor(name: string): string[] {
  const place = `@${name}/`
  return readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .filter((line) => line.includes(place))
    .map((line) => line.slice(line.indexOf(place)))
}

const isLinux = process.platform === 'linux' || 'abstract Unix sockets are of Linux'
const isRoot = process.getuid?.() === 0 || 'only root may start a process as another user'

// Turns keep no process alive, and a test that waits for one is to go on.
const alive = setInterval(() => undefined, 1000)
after(() => clearInterval(alive))

describe('a turn', { skip: isLinux === true ? false : isLinux }, () => {
  test('is for one at a time; the next has it as soon as it ends', async () => {
    const name = newName()
    const steps: string[] = []
    const end = await taken(name)
    const next = taken(name).then((endNext) => {
      steps.push('next')
      return endNext
    })
    // Longer than it waits between two looks.
    await takeTurn({ name, longestMs: 250, early: never() })
    steps.push('ends')
    end()
    ;(await next)()
    assert.deepEqual(steps, ['ends', 'next'])
  })

  test('shows who has it', async (t) => {
    const name = newName()
    assert.equal(turnHolder(name), 'nobody')
    const end = await taken(name)
    assert.equal(turnHolder(name), 'this process')
    end()
    const other = newName()
    await holder(t, other)
    assert.equal(turnHolder(other), 'another')
  })

  test('is not shown as had by another user', { skip: isRoot === true ? false : isRoot }, async (t) => {
    const name = newName()
    await holder(t, name, 65_534)
    assert.equal(turnHolder(name), 'nobody')
  })

  test('is for who came first, and who comes when it is free does not overtake those who wait', async () => {
    const name = newName()
    const order: number[] = []
    let end = await taken(name)
    const waiting = [0, 1, 2, 3].map(async (number) => {
      // Each comes less than a look after the one before it, and so looks before it in each later round.
      await setTimeout(number * 90)
      const endTurn = await taken(name)
      order.push(number)
      return endTurn
    })
    await setTimeout(600)
    for (const next of waiting) {
      end()
      end = await next
    }
    end()
    assert.deepEqual(order, [0, 1, 2, 3])
  })

  test('keeps its place in the queue for as long as it is waited for, and no longer', async () => {
    const name = newName()
    const end = await taken(name)
    const next = taken(name)
    // Longer than a process waits between two looks.
    const afterLooks = () => takeTurn({ name, longestMs: 250, early: never() })
    await afterLooks()
    const places = placesFor(name)
    await afterLooks()
    assert.equal(places.length, 1)
    assert.deepEqual(placesFor(name), places)
    end()
    ;(await next)()
    assert.deepEqual(placesFor(name), [])
  })

  test(
    'is had soon where another user, or a process that is stopped, holds a place before it',
    { skip: isRoot === true ? false : isRoot },
    async (t) => {
      const name = newName()
      await holder(t, `${name}/1`, 65_534)
      const end = await taken(name)
      const next = taken(name)
      end()
      const endNext = await next
      assert.equal(await takeTurn({ name, longestMs: 250, early: never() }), undefined, 'it is its own turn')
      endNext()
    },
  )

  test('of a neighbour is waited for until the time is over', async (t) => {
    const name = newName()
    await holder(t, name)
    assert.equal(await takeTurn({ name, longestMs: 250, early: never() }), undefined)
  })

  test('ends with its process, in whatever way that ends', async (t) => {
    const name = newName()
    const takes = `takeTurn(${termsOf(name)}).then(() => console.log('taken')); setInterval(() => {}, 1000)`
    const neighbour = spawn(process.execPath, program(takes), { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => neighbour.kill('SIGKILL'))
    await once(neighbour.stdout, 'data')
    // Longer than it waits for a name that is taken by nobody of this user.
    assert.equal(await takeTurn({ name, longestMs: 2500, early: never() }), undefined)
    const next = taken(name)
    neighbour.kill('SIGKILL')
    ;(await next)()
  })

  test(
    'cannot be had by another user: a name that one occupies stops nothing',
    { skip: isRoot === true ? false : isRoot },
    async (t) => {
      const name = newName()
      await holder(t, name, 65_534)
      ;(await taken(name))()
    },
  )

  test(
    'cannot be had by another user who gives the name back and takes it anew all the time',
    { skip: isRoot === true ? false : isRoot },
    async (t) => {
      const name = newName()
      await holder(t, name, 65_534, 'anew')
      assert.ok(await takeTurn({ name, longestMs: 2000, early: never() }))
    },
  )

  test(
    'cannot be had by another user who takes the name from a neighbour that ends',
    { skip: isRoot === true ? false : isRoot },
    async (t) => {
      const name = newName()
      const neighbour = await holder(t, name)
      // Tries again every ms.
      await holder(t, name, 65_534)
      const next = taken(name)
      neighbour.kill('SIGKILL')
      ;(await next)()
    },
  )

  test('ends with the thread that has it', async () => {
    const name = newName()
    const takes = `takeTurn(${termsOf(name)}).then(() => require('node:worker_threads').parentPort.postMessage('taken'))`
    const [, code = ''] = program(`${takes}; setInterval(() => {}, 1000)`)
    const thread = new Worker(code, { eval: true })
    await once(thread, 'message')
    assert.equal(await takeTurn({ name, longestMs: 250, early: never() }), undefined)
    const next = taken(name)
    await thread.terminate()
    ;(await next)()
  })

  test('of a neighbour whose thread stands still is waited for, by more than the queue has places for', async (t) => {
    const name = newName()
    const takes = `takeTurn(${termsOf(name)}).then(() => { console.log('taken'); for (;;); })`
    const neighbour = spawn(process.execPath, program(takes), { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => neighbour.kill('SIGKILL'))
    await once(neighbour.stdout, 'data')
    const waits = Array.from({ length: 40 }, () => takeTurn({ name, longestMs: 1500, early: never() }))
    assert.deepEqual(new Set(await Promise.all(waits)), new Set([undefined]))
  })

  test(
    'cannot be had by another user who writes into the list of sockets that this user has it',
    { skip: isRoot === true ? noCompiler : isRoot },
    async (t) => {
      const name = newName()
      // The list has the order of a hash: some of the lines come before that of the name itself.
      await holder(t, (await forgedLines(t, name)).join('\t'), 65_534)
      await occupied(t, [name], 'connected')
      assert.ok(await takeTurn({ name, longestMs: LONG_MS, early: never() }))
    },
  )

  for (const [how, what] of Object.entries(SOCKETS_OF_OTHERS) as [keyof typeof SOCKETS_OF_OTHERS, string][])
    test(
      `cannot be had by another user whose socket ${what}`,
      { skip: isRoot === true ? noCompiler : isRoot },
      async (t) => {
        const name = newName()
        await occupied(t, [name], how)
        // As short as an upload waits, and as long as a dump does.
        for (const longestMs of [300, LONG_MS]) assert.ok(await takeTurn({ name, longestMs, early: never() }))
      },
    )

  test(
    'is had soon where another user has all places, whatever his sockets do',
    { skip: isRoot === true ? noCompiler : isRoot },
    async (t) => {
      const name = newName()
      const places = Array.from({ length: 100 }, (_, number) => `${name}/${number}`)
      await occupied(t, places, 'connected')
      const end = await taken(name)
      assert.equal(await takeTurn({ name, longestMs: 250, early: never() }), undefined, 'it is his own turn')
      const next = [taken(name), taken(name)].map(async (one) => (await one)())
      end()
      await Promise.all(next)
    },
  )

  test('is not waited for any more when the waiting is ended early', async (t) => {
    const name = newName()
    await holder(t, name)
    const early = new AbortController()
    const waiting = takeTurn({ name, longestMs: LONG_MS, early: early.signal })
    early.abort()
    assert.ok(await waiting)
  })

  test('keeps no process alive, held or waited for', async () => {
    const terms = termsOf(newName())
    const takes = `takeTurn(${terms}); takeTurn(${terms})`
    const child = spawn(process.execPath, program(takes), { stdio: 'inherit' })
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })
})

describe('the name of a turn', { skip: isLinux === true ? false : isLinux }, () => {
  /** Makes cgroups with a limit each. @returns A function that gives the name of the turn in one of them. */
  function namesIn(t: TestContext, cgroups: readonly string[]): (cgroup: string) => string | undefined {
    const directory = mkdtempSync(join(tmpdir(), 'cgroups-'))
    t.after(() => rmSync(directory, { recursive: true }))
    for (const cgroup of cgroups) mkdirSync(join(directory, cgroup), { recursive: true })
    const limits = cgroups.map((cgroup) => [`${directory}/${cgroup}/memory.max`, '700000000\n'] as const)
    const mount = `31 23 0:28 / ${directory} rw - cgroup2 cgroup2 rw\n`
    return (cgroup) => {
      const files = new Map([
        ['/proc/self/mountinfo', mount],
        ['/proc/self/cgroup', `0::/${cgroup}\n`],
        ...limits,
      ])
      return turnName((path) => files.get(path))
    }
  }

  test('is the same in all cgroups below one limit, whatever limits of their own they have', (t) => {
    const nameIn = namesIn(t, ['pod', 'pod/shop', 'pod/mail'])
    assert.ok(nameIn('pod/shop'))
    assert.equal(nameIn('pod/mail'), nameIn('pod/shop'))
  })

  test('is another one below another limit', (t) => {
    const nameIn = namesIn(t, ['shop', 'mail'])
    assert.ok(nameIn('shop'))
    assert.notEqual(nameIn('mail'), nameIn('shop'))
  })
})

test('without a memory limit there are no turns', () => {
  assert.equal(
    turnName(() => undefined),
    undefined,
  )
})
