// The Node that runs this makes CMM_COUNT (200) forked snapshots of a heap of CMM_HEAP_MB (20), see ../fork-often.mjs.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { require as requireTs } from 'tsx/cjs/api'
import { parameter } from './forking.mjs'

const { startApp, files } = requireTs('../../../e2e/monitor/app.ts', import.meta.url)
const { instances } = requireTs('../../../e2e/monitor/profiles.ts', import.meta.url)

const [count, heapMb] = [parameter('CMM_COUNT', 200), parameter('CMM_HEAP_MB', 20)]
const LEAST_WHOLE = 0.99

const undo = []
try {
  const app = startApp(
    { after: (each) => undo.unshift(each) },
    'forking.js',
    { memory: { threshold: '20gb' } },
    { env: { HEAP_MB: String(heapMb) }, lifetimeMs: 44 * 60_000 },
  )
  const { port } = await app.until('port')
  const leaked = await app.order('leak')
  await app.order('load')
  const others = []
  const pausesMs = []
  let served = 0
  for (let dump = 0; dump < count; dump++) {
    const dumping = app.order('dumpMemory')
    if ((await (await fetch(`http://127.0.0.1:${port}`)).text()) === 'served') served++
    const result = await dumping
    if (result.way === 'fork' && instances(result.file, 'LeakedThing') === leaked)
      pausesMs.push(result.pauseMs)
    else others.push(result.way ?? JSON.stringify(result))
    for (const file of result.files ?? []) rmSync(file)
  }
  const stillServes = (await (await fetch(`http://127.0.0.1:${port}`)).text()) === 'served'
  console.log(
    `Node ${process.versions.node}: ${pausesMs.length} of ${count} whole with the right count, ` +
      `${others.length > 0 ? `of the others ${others.join(', ')}; ` : ''}` +
      `longest pause ${Math.round(Math.max(...pausesMs))} ms, served during ${served} of them, and after`,
  )
  assert.ok(pausesMs.length >= count * LEAST_WHOLE)
  assert.deepEqual([served, stillServes, files(app, '.partial')], [count, true, []])
} finally {
  for (const each of undo) await each()
}
