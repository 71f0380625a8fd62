import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type EndTurn, takeTurn, turnHolder, turnName } from '../../../src/system/turn'
import { compileTo, noCompiler } from '../../harness/compiler'

const LONG_MS = Number(process.env['CLUSTER_PATIENCE_MS'] ?? 60_000)
let names = 0
const newName = () => `\0cmm-test/${process.pid}/${++names}`
const never = () => new AbortController().signal

async function taken(name: string): Promise<EndTurn> {
  const end = await takeTurn({ name, longestMs: LONG_MS, early: never() })
  assert.ok(end)
  return end
}

/** A program that loads the code under test, and what it does then. */
function program(action: string): readonly string[] {
  const file = join(__dirname, '../../../src/system/turn.ts')
  const load = `const { takeTurn } = require('tsx/cjs/api').require(${JSON.stringify(file)}, ${JSON.stringify(__filename)})`
  return ['-e', `${load}; ${action}`]
}

const termsOf = (name: string) =>
  `{ name: ${JSON.stringify(name)}, longestMs: ${LONG_MS}, early: new AbortController().signal }`

/** Another process that has the name of the turn. */
async function holder(t: TestContext, name: string, uid?: number, how = ''): Promise<ChildProcess> {
  const args = [join(__dirname, 'programs/holds-a-name.js'), name.slice(1), uid ? String(uid) : '', how]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

/** A line of the list for each takes 160 bytes: more than a look reads. */
const SOCKETS = 8000

function noRoom(): string | false {
  const [, , hard = '0'] =
    /^Max open files +(\S+) +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  return Number(hard) < SOCKETS + 100 && `a process may have no ${SOCKETS} sockets here`
}

/** Names that show as a line of their own, by which a socket of this process is the turn. */
async function forgedLines(t: TestContext, name: string): Promise<string[]> {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  const [inode] = /\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? []
  const line = `0000000000000001: 00000002 00000000 00010000 0001 01 ${inode} @${name.slice(1)}`
  return Array.from({ length: 12 }, (_, number) => `${number}\n${line}`)
}

/** Ways to occupy a name. In each the list does not show that it is another user's. */
const SOCKETS_OF_OTHERS = {
  connected: 'is connected instead of listening',
  handed: 'a program with the set-user-ID bit keeps',
}

/** Another user who has the name of the turn in that way. */
async function occupied(
  t: TestContext,
  name: string,
  how: keyof typeof SOCKETS_OF_OTHERS,
): Promise<ChildProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'occupies-'))
  t.after(() => rmSync(directory, { recursive: true }))
  chmodSync(directory, 0o755)
  const file = join(directory, 'occupies-a-name')
  compileTo(file, join(__dirname, 'programs/occupies-a-name.c'))
  chmodSync(file, 0o4755)
  const plain = join(directory, 'plain')
  copyFileSync(file, plain)
  chmodSync(plain, 0o755)
  const args = [name.slice(1), '65534', String(await lengthOf(name)), how, file]
  const child = spawn(plain, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

/** Length that this Node gives to the name of a socket: the list shows an `@` for each zero. */
async function lengthOf(name: string): Promise<number> {
  const server = createServer().listen(name)
  await once(server, 'listening')
  const shown = readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .map((line) => line.slice(line.indexOf('@')))
    .find((each) => each.startsWith(`@${name.slice(1)}`))
  server.close()
  await once(server, 'close')
  return shown?.length ?? 0
}

/** Names of the places in the queue for a turn. */
function placesFor(name: string): string[] {
  const place = `@${name.slice(1)}/`
  return readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .filter((line) => line.includes(place))
    .map((line) => line.slice(line.indexOf(place)).replace(/@+$/, ''))
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

  test('does not show it where the list may be forged', async (t) => {
    const name = newName()
    await holder(t, [name, ...(await forgedLines(t, name))].join('\t'))
    assert.equal(turnHolder(name), 'unknown')
  })

  test('is for who came first, and who comes when it is free does not overtake those who wait', async () => {
    const name = newName()
    const order: number[] = []
    let end = await taken(name)
    const waiting = [0, 1, 2, 3].map(async (number) => {
      // Each comes a look after the one before it.
      await setTimeout(number * 110)
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
      await holder(t, `${name}/0000000000000001`, 65_534)
      const end = await taken(name)
      const next = taken(name)
      end()
      ;(await next)()
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
    // Longer than it waits for a name that is taken, and that the list does not show.
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
    'cannot be had by another user who writes into the list of sockets that this user has it',
    { skip: isRoot === true ? false : isRoot },
    async (t) => {
      for (const held of ['', '/0000000000000001']) {
        const name = newName()
        // The list has the order of a hash: some of the lines come before that of the name itself.
        await holder(t, [name + held, ...(await forgedLines(t, name))].join('\t'), 65_534)
        assert.ok(await takeTurn({ name, longestMs: 5000, early: never() }), `holds ${held || 'the turn'}`)
      }
    },
  )

  test(
    'is ignored where other users have made the list of sockets longer than a look reads',
    { skip: isRoot === true ? noRoom() : isRoot },
    async (t) => {
      const name = newName()
      await holder(t, name, 65_534, String(SOCKETS))
      assert.ok(await takeTurn({ name, longestMs: 5000, early: never() }))
    },
  )

  for (const how of ['connected', 'handed'] as const)
    test(
      `cannot be had by another user whose socket ${SOCKETS_OF_OTHERS[how]}`,
      { skip: isRoot === true ? noCompiler : isRoot },
      async (t) => {
        const name = newName()
        await occupied(t, name, how)
        assert.ok(await takeTurn({ name, longestMs: LONG_MS, early: never() }))
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
