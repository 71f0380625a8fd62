import assert from 'node:assert/strict'
import type { Session } from 'node:inspector'
import { describe, it } from 'node:test'
import { createHeapSampler } from '../../../../src/capture/heap/sampler'

/** V8's one sampling profiler as its sessions see it: anybody's stop ends it, and so does the end of the session that started it. */
function fakeV8() {
  const v8 = { runs: false, sessions: 0, samples: 3, refuses: false }
  const openSession = (): Session => {
    v8.sessions += 1
    let started = false
    const post = (method: string, ...rest: unknown[]): void => {
      const done = rest.at(-1) as (error: Error | null, answer?: unknown) => void
      if (method === 'HeapProfiler.startSampling') {
        if (v8.refuses) return done(new Error('refused'))
        started = v8.runs = true
        return done(null)
      }
      if (!v8.runs) return done(new Error('V8 sampling heap profiler was not started.'))
      done(null, { profile: { head: {}, samples: new Array(v8.samples).fill({}) } })
    }
    const disconnect = (): void => {
      v8.sessions -= 1
      if (started) v8.runs = false
    }
    return { post, disconnect } as unknown as Session
  }
  return { v8, openSession }
}

describe('heap sampler', () => {
  it('starts, reads and stops its own, and keeps one session meanwhile', () => {
    const { v8, openSession } = fakeV8()
    const sampler = createHeapSampler(openSession)
    assert.equal(sampler.start(1024), 'ours')
    assert.deepEqual(sampler.read(), {
      samples: 3,
      json: JSON.stringify({ head: {}, samples: [{}, {}, {}] }),
    })
    assert.equal(sampler.profile()?.samples.length, 3)
    assert.equal(v8.sessions, 1)
    sampler.stop()
    sampler.stop()
    assert.deepEqual(v8, { runs: false, sessions: 0, samples: 3, refuses: false })
  })

  it("reads along with another's and does not stop it", () => {
    const { v8, openSession } = fakeV8()
    v8.runs = true
    const sampler = createHeapSampler(openSession)
    assert.equal(sampler.start(1024), 'foreign')
    assert.equal(sampler.read().samples, 3)
    sampler.stop()
    assert.equal(v8.runs, true)
    assert.equal(v8.sessions, 0)
  })

  it('notices that it was stopped, and can start again', () => {
    const { v8, openSession } = fakeV8()
    const sampler = createHeapSampler(openSession)
    sampler.start(1024)
    v8.runs = false
    assert.deepEqual(sampler.read(), { samples: 0, json: '' })
    assert.equal(sampler.state(), 'stopped')
    assert.equal(sampler.start(1024), 'ours')
    assert.equal(v8.sessions, 1)
  })

  it('numbers its starts, and only those', () => {
    const { v8, openSession } = fakeV8()
    const sampler = createHeapSampler(openSession)
    sampler.start(1024)
    sampler.start(1024)
    sampler.profile()
    assert.equal(sampler.run(), 1)
    v8.runs = false
    sampler.profile()
    sampler.start(1024)
    assert.equal(sampler.run(), 2)
    sampler.stop()
    sampler.start(1024)
    assert.equal(sampler.run(), 3)
  })

  it('has nothing before it starts, and writes no JSON when nothing was sampled', () => {
    const { v8, openSession } = fakeV8()
    const sampler = createHeapSampler(openSession)
    assert.equal(sampler.read().samples, 0)
    assert.equal(sampler.profile(), undefined)
    assert.equal(v8.sessions, 0)
    v8.samples = 0
    sampler.start(1024)
    assert.deepEqual(sampler.read(), { samples: 0, json: '' })
    assert.equal(sampler.state(), 'ours')
  })

  it('passes on why it cannot start', () => {
    const { v8, openSession } = fakeV8()
    v8.refuses = true
    assert.throws(() => createHeapSampler(openSession).start(1024), /refused/)
  })
})
