'use strict'
// node heap-dump.js '{"engine","directory","room","sampling","things","trouble"}': memory dumps of a process that holds LeakedThings.
const { writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { build, job, openSession, outcome, report, samplerRuns, traces } = require('./setup.js')

const options = JSON.parse(process.argv[2])

class LeakedThing {
  constructor(id) {
    this.id = id
    this.payload = new Array(30).fill(id)
  }
}
const leaked = []
function leakThings(count) {
  for (let i = 0; i < count; i++) leaked.push(new LeakedThing(i))
}

report(async () => {
  const { heap, said } = build(options)
  await require('node:fs/promises').stat(options.directory)
  const before = traces()
  const stranger = options.trouble?.includes('stranger') ? openSession() : undefined
  if (options.trouble === 'stranger-samples') stranger.post('HeapProfiler.startSampling')
  const capturer = heap()
  leakThings(options.things ?? 60_000)
  if (options.trouble === 'stranger-stops') {
    stranger.post('HeapProfiler.startSampling')
    stranger.post('HeapProfiler.stopSampling')
  }

  const plan = await capturer.plan(options.directory)
  const first = await take(plan)
  if (options.trouble === 'stranger-stops') leakThings(20_000)
  const second =
    options.trouble === 'stranger-stops' ? await take(await capturer.plan(options.directory)) : undefined
  await capturer.close()
  await capturer.close()
  const strangerStillSamples = stranger ? samplerRuns() : undefined
  stranger?.disconnect()
  return {
    plan: { skip: plan.skip, numbers: plan.numbers, refusal: plan.refusal },
    first,
    second,
    said,
    strangerStillSamples,
    before,
    after: traces(),
    ways: capturer.ways(),
    leaked: leaked.length,
  }
})

async function take(plan) {
  if (plan.skip) return undefined
  const work = job(options.directory, 'memory')
  if (options.trouble === 'name-taken')
    writeFileSync(join(options.directory, `${work.baseName}.heapsnapshot`), 'theirs')
  if (options.trouble === 'no-directory') work.directory = join(options.directory, 'missing')
  const captured = await outcome(plan.take(work, new AbortController().signal))
  return captured.failure ? { ...captured, failure: captured.failure.message } : captured
}
