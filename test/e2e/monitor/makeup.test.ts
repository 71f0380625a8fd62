import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, test } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events.js'
import type { Sidecar } from '../../../dist/files/sidecar.js'
import { fixture, sidecarOf, startApp } from './app'

interface Shapes {
  readonly shapes: Readonly<Record<string, { readonly options: object }>>
  readonly judge: (shape: string, dump: Dump, line: string, sidecar: Sidecar) => string[]
}
const { judge, shapes } = createRequire(__filename)(fixture('guilty-shapes.js')) as Shapes

describe('the event, the .json and the log line name who it was', () => {
  for (const [shape, { options }] of Object.entries(shapes))
    test(shape, async (t) => {
      const app = startApp(t, 'guilty.js', { ...options, signal: false }, { args: [shape] })
      const dump = await app.until('dump')
      const { text } = await app.until('line', (line) => line.text.includes(dump.file))
      t.diagnostic(text)
      assert.deepEqual(judge(shape, dump, text, sidecarOf(dump.file)), [])
    })
})

describe('a process that is not guilty', () => {
  test('leaves a dump by hand that blames no worker, no pool and no collection', async (t) => {
    const app = startApp(t, 'by-hand.js', { cpu: {}, memory: {}, signal: false })
    await app.until('line', ({ text }) => text.startsWith('watching'))
    await app.order('dumpCpu', 300)
    const { text } = await app.until('line', (line) => line.text.includes('manual cpu dump'))
    assert.doesNotMatch(text, /worker|the thread pool|garbage collection took/)
  })
})
