import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { artefacts, places, startApp } from './app'

const options = {
  cpu: { threshold: 100_000, duration: 300, blocked: false },
  memory: { threshold: '900gb', sampling: false },
  signal: false,
}
const rules = ['late', 'late-too', 'busy']

interface Said {
  readonly rule: string
  readonly value: number
}

describe('rules on the event loop', { concurrency: 1 }, () => {
  for (const { watchdog, place } of places) {
    test(`each dumps where the loop is late, watched ${place}`, async (t) => {
      const app = startApp(t, 'delayed-loop.js', { ...options, watchdog }, { args: ['late'] })
      const dumps = await Promise.all(rules.map((name) => app.until('dump', ({ rule }) => rule === name)))
      for (const [at, name] of rules.entries())
        assert.match(basename(dumps[at]?.file ?? ''), new RegExp(`^${name}-cpu-\\d+-\\d+\\.cpuprofile$`))
    })

    test(`none dumps where it is not, watched ${place}`, async (t) => {
      const app = startApp(t, 'delayed-loop.js', { ...options, watchdog }, { args: ['calm'] })
      await Promise.all(
        rules.map((name) => app.until('reading', (saying) => (saying as Said).rule === name, 4)),
      )
      assert.deepEqual(artefacts(app), [])
    })
  }
})
