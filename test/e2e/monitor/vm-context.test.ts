import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events.js'
import { artefacts, places, startApp } from './app'

describe('a library that was loaded in another vm context, as by Jest', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    test(`dumps and stops, watched ${place}`, async (t) => {
      const options = { cpu: { threshold: 100_000 }, memory: { threshold: '1000gb' }, watchdog }
      const app = startApp(t, 'in-a-vm-context.js', options)
      await app.until('line', ({ text }) => text.startsWith('watching'))
      const files = [await app.order<Dump>('dumpCpu'), await app.order<Dump>('dumpMemory')].map(
        ({ file }) => file,
      )
      assert.match(files.join(' '), /\.cpuprofile .*\.heapsnapshot$/)
      await app.order('stop')
      assert.ok(artefacts(app).length >= 2)
      assert.deepEqual([app.said('failure'), app.said('skip')], [[], []])
      assert.equal(app.stderr(), '')
    })
  }
})
