import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { KnownBefore, Sidecar } from '../../../src/files/sidecar'
import { scratch } from '../../harness/program'

export { scratch }

export interface Disk {
  readonly path: string
  makeReadOnly(): void
  /** Makes the path read-only while files there are open for writing; returns what undoes it. */
  coverReadOnly(): () => void
}

/** A file system of the test's own, so that its disk can be full or read-only; `undefined` where mounting is refused. */
export function tmpfs(t: TestContext, sizeBytes: number, inodes = 0): Disk | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'files-'))
  const path = join(directory, 'disk')
  mkdirSync(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},nr_inodes=${inodes}`, 'tmpfs', path], {
      stdio: 'pipe',
    })
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    t.skip(`cannot mount a tmpfs: ${String((error as Error).message).trim()}`)
    return undefined
  }
  let mounts = 1
  const unmount = (): void => {
    execFileSync('umount', ['-l', path])
    mounts -= 1
  }
  t.after(() => {
    while (mounts > 0) unmount()
    rmSync(directory, { recursive: true, force: true })
  })
  return {
    path,
    makeReadOnly: () => void execFileSync('mount', ['-o', 'remount,ro', path]),
    coverReadOnly: () => {
      execFileSync('mount', ['--bind', path, path])
      mounts += 1
      execFileSync('mount', ['-o', 'remount,bind,ro', path])
      return unmount
    },
  }
}

/** What a dispatcher says about a dump. */
export function about(directory: string, rule: Sidecar['why']['rule'] = 'threshold'): KnownBefore {
  return {
    why: {
      kind: 'cpu',
      rule,
      details: { threshold: 60 },
      readings: [{ at: '2026-01-01T00:00:00.000Z', value: 97 }],
    },
    where: {
      ...{ node: process.version, v8: process.versions.v8, pid: process.pid, host: hostname(), directory },
      ...{ startedAt: new Date().toISOString(), limits: {} },
    },
  }
}

export const HOW = { way: 'inspector', passedOver: [], pauseMs: 12, durationMs: 3456 }

/** The smallest profile that DevTools opens. */
export const PROFILE =
  '{"nodes":[{"id":1,"callFrame":{"functionName":"(root)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1}}],"startTime":0,"endTime":1,"samples":[1],"timeDeltas":[1]}'
