import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Limits, MemoryLeft } from '../../../src/system/limits'
import { fixture } from './run-fixture.js'

const MIB = 1024 * 1024

interface Seen {
  limits: Limits
  left: MemoryLeft
  heldBytes: number
  constrained: number
}

/** How this machine lets a test make a memory cgroup. */
interface Kind {
  readonly mountPoint: string
  readonly limitFile: string
  readonly source: Limits['memoryLimitSource']
}

const kinds: readonly Kind[] = [
  { mountPoint: '/sys/fs/cgroup/memory', limitFile: 'memory.limit_in_bytes', source: 'cgroup-v1' },
  { mountPoint: '/sys/fs/cgroup', limitFile: 'memory.max', source: 'cgroup-v2' },
]

/** Makes a parent of 256 MiB with a child group of 512 MiB, and gives the child's path; undone at the test's end. */
function nestedGroups(t: TestContext): { group: string; kind: Kind } | { reason: string } {
  if (process.getuid?.() !== 0) return { reason: 'only root may make a cgroup' }
  const kind = kinds.find(({ mountPoint }) => existsSync(join(mountPoint, 'cgroup.procs')))
  if (kind === undefined) return { reason: 'no cgroup file system is mounted at its usual place' }
  const parent = join(kind.mountPoint, `cpu-memory-monitor-test-${process.pid}`)
  const group = join(parent, 'child')
  const made: string[] = []
  t.after(() => made.reverse().forEach((directory) => rmdirSync(directory)))
  try {
    mkdirSync(parent)
    made.push(parent)
    if (kind.source === 'cgroup-v2') writeFileSync(join(parent, 'cgroup.subtree_control'), '+memory')
    mkdirSync(group)
    made.push(group)
    writeFileSync(join(parent, kind.limitFile), String(256 * MIB))
    writeFileSync(join(group, kind.limitFile), String(512 * MIB))
  } catch (error) {
    return { reason: `no memory cgroup can be made: ${(error as Error).message}` }
  }
  return { group, kind }
}

async function lookFromWithin(group: string | undefined): Promise<Seen> {
  const child = spawn(process.execPath, [fixture('limits-in-a-cgroup.js')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  try {
    await once(child.stdout, 'data')
    if (group !== undefined) writeFileSync(join(group, 'cgroup.procs'), String(child.pid))
    child.stdin.end('look')
    const [answer] = (await once(child.stdout, 'data')) as [Buffer]
    return JSON.parse(answer.toString()) as Seen
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

test('a process put into a memory cgroup sees the limit of the parent, which is tighter, and what it leaves', async (t) => {
  const made = nestedGroups(t)
  if ('reason' in made) return t.skip(made.reason)
  const { limits, left, heldBytes, constrained } = await lookFromWithin(made.group)
  assert.deepEqual([limits.memoryLimitBytes, limits.memoryLimitSource], [256 * MIB, made.kind.source])
  assert.equal(left.limitBytes, 256 * MIB)
  // Only memory that was allocated after the move counts for the new group.
  const usedBytes = 256 * MIB - left.availableBytes
  assert.ok(usedBytes >= heldBytes * 0.9 && usedBytes < 200 * MIB, `used ${usedBytes}`)
  // Node looks at the own group only, which allows more: a cross-check.
  assert.ok(
    constrained === 512 * MIB || constrained === 256 * MIB || constrained === 0,
    `Node says ${constrained}`,
  )
})

test('the same process outside of it does not see that limit', async () => {
  const { limits } = await lookFromWithin(undefined)
  assert.notEqual(limits.memoryLimitBytes, 256 * MIB)
})

/** Lines of the monitor about its limits, with that text in place of this machine's `/proc/self/cgroup`. */
function uncertainLines(t: TestContext, membership: string): string[] | { reason: string } {
  const directory = mkdtempSync(join(tmpdir(), 'real-cgroup-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'cgroup')
  writeFileSync(file, membership)
  // The shell becomes the program, so both have the same /proc/self.
  const script = 'mount --bind "$1" /proc/$$/cgroup && exec "$2" "$3" "$4" "$5"'
  const dist = join(__dirname, '../../../dist')
  const program = [process.execPath, fixture('watching.js'), dist, join(directory, 'files')]
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', script, 'sh', file, ...program],
    {
      encoding: 'utf8',
      timeout: 30_000,
    },
  )
  if (status !== 0) return { reason: `no file can be mounted over another: ${stderr}` }
  const { lines } = JSON.parse(stdout) as { lines: string[] }
  return lines.filter((line) => line.includes('uncertain'))
}

for (const [name, membership, expected] of [
  [
    'a malformed cgroup file is named at start, with the line',
    '0::/\nhalf a li',
    [
      'memory or CPU limits of this process are uncertain: /proc/self/cgroup line 2 is malformed ("half a li"); a limit that cannot be read or parsed is ignored',
    ],
  ],
  ['a whole one is not', '0::/\n', []],
] as const) {
  test(name, (t) => {
    const lines = uncertainLines(t, membership)
    if ('reason' in lines) return t.skip(lines.reason)
    assert.deepEqual(lines, expected)
  })
}
