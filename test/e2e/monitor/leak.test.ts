import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Leak } from '../../../dist/dispatch/events.js'
import { artefacts, fixture, sidecarOf, startApp } from './app'
import { instances } from './profiles'

const PROGRAM = 'leaks-by-the-hour.js'
const execArgv = ['--expose-gc']
/** Only the leak watch may order a dump. */
const memory = { threshold: '1000gb' }
/** Within this time of the program's life the leak shows and has its second snapshot. */
const HOURS = 2
/** A program that leaks in silence ends the test after this time. */
const lifetimeMs = 60_000

describe('the heap', { concurrency: 2 }, () => {
  test(`of a program that leaks is reported with the site, and dumped twice`, async (t) => {
    const app = startApp(t, PROGRAM, { memory }, { execArgv, lifetimeMs })
    await app.until('line', ({ text }) => text.startsWith('watching'))
    await app.order('leak')
    const leak = (await app.until('leak')) as Leak
    const [site] = leak.sites
    assert.ok(site)
    const line = lineOf('openSession')
    assert.deepEqual([site.functionName, basename(site.url), site.line], ['openSession', PROGRAM, line])
    assert.ok(site.growth > 0.1 * leak.growth, `${site.growth} of ${leak.growth}`)
    const warning = app.said('line').find(({ text }) => text.startsWith('leak suspected'))
    assert.equal(warning?.level, 'warn')
    assert.match(warning.text, new RegExp(`openSession.*${PROGRAM}:${line}`))

    const second = await app.until('dump', undefined, 2)
    const [first] = app.said('dump')
    assert.ok(first)
    assert.deepEqual([first.kind, first.rule, second.kind, second.rule], ['memory', 'leak', 'memory', 'leak'])
    assert.equal(dirname(first.file), app.directory)
    assert.match(basename(first.file), /^leak-memory-.*\.heapsnapshot$/)
    assert.equal(sidecarOf(first.file).why.details['pairOf'], undefined)
    assert.equal(sidecarOf(second.file).why.details['pairOf'], first.file)
    assert.ok(instances(second.file, 'Session') > instances(first.file, 'Session'))
    assert.deepEqual(app.said('failure'), [])
  })

  test(`of a program that leaks is reported with the site although another user has stopped the sampler`, async (t) => {
    const app = startApp(t, PROGRAM, { memory }, { execArgv, lifetimeMs })
    await app.until('line', ({ text }) => text.startsWith('watching'))
    await app.order('stopSampler')
    await app.order('leak')
    const { sites, reason } = (await app.until('leak')) as Leak
    assert.equal(sites[0]?.functionName, 'openSession', reason)
    const restarts = app.said('line').filter(({ text }) => text.includes('has been started again'))
    assert.equal(restarts.length, 1)
    assert.deepEqual(app.said('failure'), [])
  })

  test(`of a program that ends its sessions after fifteen minutes is not`, async (t) => {
    const app = startApp(t, PROGRAM, { memory }, { execArgv, lifetimeMs })
    await app.until('line', ({ text }) => text.startsWith('watching'))
    let passed = { hours: 0, collections: 0 }
    while (passed.hours < HOURS) {
      await sleep(500)
      passed = await app.order('passed')
    }
    assert.ok(passed.collections >= 12 * HOURS, `${passed.collections} collections: this shows nothing`)
    assert.deepEqual([app.said('leak'), app.said('dump'), artefacts(app)], [[], [], []])
    assert.deepEqual(app.said('failure'), [])
  })
})

function lineOf(functionName: string): number {
  const lines = readFileSync(fixture(PROGRAM), 'utf8').split('\n')
  return lines.findIndex((line) => line.startsWith(`function ${functionName}(`)) + 1
}
