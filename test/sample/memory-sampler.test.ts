import assert from 'node:assert/strict'
import { test } from 'node:test'

import { memorySampler } from '../../dist/sample/memory-sampler.js'
import { chooseUsageReader } from '../../dist/sample/usage-reader.js'

test('the resident set size, in bytes, from the first sample on', async () => {
  for (const reader of [chooseUsageReader(), chooseUsageReader('darwin')]) {
    const rssBytes = await memorySampler(reader).sample()
    const ratio = (rssBytes ?? 0) / process.memoryUsage.rss()
    assert.ok(ratio > 0.7 && ratio < 1.4, `${reader.way}: sampled ${rssBytes}`)
  }
})

test('it follows what the process holds', async () => {
  const sampler = memorySampler()
  const before = await sampler.sample()
  const held = Buffer.alloc(64 * 1024 * 1024, 1)
  const after = await sampler.sample()
  assert.ok((after ?? 0) - (before ?? 0) > held.length / 2, `${before} then ${after}`)
  await sampler.close()
  await sampler.close()
})

test('a failed reading rejects that call only', async () => {
  let failing = true
  const own = () => {
    if (failing) throw new Error('no answer')
    return { cpuMs: 1, rssBytes: 2 }
  }
  const sampler = memorySampler({ way: 'node', reason: 'scripted', own, of: () => new Map() })
  await assert.rejects(sampler.sample(), /no answer/)
  failing = false
  assert.equal(await sampler.sample(), 2)
})
