import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

const options = { count: 2 }
const LINE = /SIGUSR2 triggers no heap snapshot: no monitor listens for it in the (primary|worker)[^\n]*/g

describe('SIGUSR2', { concurrency: 3 }, () => {
  test('ends neither a primary nor a worker without a monitor: each writes one line', async (t) => {
    const running = await RunningCluster.start(t, { options })
    await running.allReady()
    const [pid = 0] = running.census.allPids()
    running.kill('SIGUSR2')
    process.kill(pid, 'SIGUSR2')
    await running.until('both lines', () => running.stderr.match(LINE)?.length === 2)
    await running.says(new RegExp(`in the primary \\(pid ${running.pid}\\)\\. Send SIGUSR2 to a worker`))
    await running.says(new RegExp(`in the worker with pid ${pid}$`, 'm'))
    assert.equal((await new User(t, running.port).get('/')).status, 200)
    assert.equal(running.exit, undefined)
    assert.equal(running.events('crash').length, 0)
  })

  test('is left to a listener of the application', async (t) => {
    const running = await RunningCluster.start(t, { stops: true, options })
    await running.allReady()
    running.kill('SIGUSR2')
    // Also: the listener that was there keeps no process alive.
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
    assert.doesNotMatch(running.stderr, LINE)
  })

  test('is left to a monitor that the application starts after run', async (t) => {
    const profileDir = mkdtempSync(join(tmpdir(), 'cluster-'))
    t.after(() => rmSync(profileDir, { recursive: true }))
    const running = await RunningCluster.start(t, { start: 'monitoredLater', profileDir, options })
    await running.allReady()
    const [pid = 0] = running.census.allPids()
    process.kill(pid, 'SIGUSR2')
    const isDump = (name: string) =>
      name.startsWith(`manual-memory-${pid}-`) && name.endsWith('.heapsnapshot')
    await running.until('the snapshot', () => readdirSync(profileDir).some(isDump))
    assert.doesNotMatch(running.stderr, LINE)
    assert.doesNotMatch(running.stderr, /has another listener/)
  })

  test('has its default effect again after stop()', async (t) => {
    const running = await RunningCluster.start(t, { stays: true, stopsAtHangup: true, options })
    await running.allReady()
    running.kill('SIGHUP')
    await running.until('stopped', () => running.times('stopped') === 1)
    running.kill('SIGUSR2')
    assert.deepEqual(await running.gone(), { code: null, signal: 'SIGUSR2' })
  })
})
