// Twenty processes of one service serve requests, dump and send, while a real S3 and a real Redis are killed, stopped and started at
// random, and some of the processes are killed. Every artefact arrives once, byte for byte, its `.json` after it; the budget holds; no
// request fails. Beside them others make the same dumps without the two, to compare how long requests wait. Then one sends 200 MB.
// CMM_SEEDS (10), CMM_FIRST_SEED (1).
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import * as s3 from '@aws-sdk/client-s3'
import { startRedis, whyNoRedis } from '../services/redis.mjs'
import { CREDENTIALS, startSwift, whyNoSwift } from '../services/swift.mjs'
import { expectAtMost } from './programs/at-most.mjs'
import { mainThreadShare } from './programs/fleet-cost.mjs'
import { openRoad } from './programs/fleet-road.mjs'

const SEEDS = Number(process.env.CMM_SEEDS ?? 10)
const FIRST_SEED = Number(process.env.CMM_FIRST_SEED ?? 1)
const PODS = 20
/** The first four share a directory. These may be killed, so no client asks them. */
const SHARING = 4
/** Processes without the two, which dump whenever the first others that are asked by clients do. */
const CONTROLS = 8
const RUN_MS = 40_000
/** So much goes well first. */
const QUIET_MS = 6000
const BUDGET = 3
const INSURANCE = 1
const INTERVAL_MS = 10_000
/** A process may get no CPU for a while between its token and its dump. */
const LATE_MS = 1500
/** For what waits when all is well again: attempts become rarer with each that fails. */
const PATIENCE_MS = 300_000
const LONGEST_WAIT_MS = 50
const MOST_PERCENT = 1

const here = dirname(fileURLToPath(import.meta.url))
const program = (name) => join(here, 'programs', name)
const missing = whyNoRedis() ?? whyNoSwift()
if (missing) {
  console.log(missing)
  process.exit(1)
}
const scratch = mkdtempSync(join(tmpdir(), 'accept-'))
// The data of the servers go there too.
process.env.TMPDIR = scratch
const children = new Set()
let swift
process.once('SIGTERM', () => process.exit(143))
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  void swift?.kill()
  rmSync(scratch, { recursive: true, force: true })
})

const totals = {
  artefacts: 0,
  budgeted: 0,
  insured: 0,
  outages: 0,
  requests: 0,
  wallMs: 0,
  cpuMs: 0,
  p99: 0,
  controlP99: 0,
}
swift = await startSwift()
for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) await runSeed(seed)
const percent = await mainThreadShare(swift, CREDENTIALS, program('fleet-pod.cjs'))
await swift.stop()
assert.ok(percent <= MOST_PERCENT, `an upload of 200 MB costs the main thread ${percent} % of a core`)
// A run without one of these would prove nothing.
for (const figure of ['artefacts', 'budgeted', 'insured', 'outages', 'requests'])
  assert.ok(totals[figure] > 0, `no ${figure}`)
console.log(
  `${SEEDS} seeds, ${totals.outages} outages: ${totals.artefacts} artefacts arrived once and whole, ${totals.budgeted} dumps by the ` +
    `budget and ${totals.insured} by the insurance; ${totals.requests} requests, none failed, p99 ${Math.round(totals.p99)} ms and ` +
    `${Math.round(totals.controlP99)} ms without the two; the main thread was in the code that sends for ${Math.round(totals.cpuMs)} ms of CPU at ` +
    `most (${Math.round(totals.wallMs)} ms passed); 200 MB cost it ${percent.toFixed(2)} % of a core`,
)
process.exit()

async function runSeed(seed) {
  const startedAtMs = performance.now()
  const random = randomOf(seed)
  const bucket = `evidence-${seed}`
  const client = new s3.S3Client({
    endpoint: swift.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { ...CREDENTIALS },
  })
  await client.send(new s3.CreateBucketCommand({ Bucket: bucket }))
  const road = await openRoad(swift.endpoint)
  const redis = { server: await startRedis(), lives: [Date.now()] }
  const start = (index) => startPod(index, seed, bucket, road.endpoint, redis.server.url)
  const pods = Array.from({ length: PODS }, (_, index) => start(index))
  const controls = pods.slice(SHARING, SHARING + CONTROLS).map((pod) => startControl(pod, seed))
  const [clients, others] = await Promise.all([startClients(pods.slice(SHARING)), startClients(controls)])
  const outages = await breakThings(random, redis, pods, start)
  const [waits, control] = await Promise.all([clients.end(), others.end()])
  for (const { child } of controls) child.kill('SIGKILL')
  const ends = await Promise.all(pods.filter(({ isKilled }) => !isKilled).map(endPod))
  const artefacts = new Map(pods.flatMap(({ directory }) => artefactsIn(directory)))
  await sendWhatIsLeft(pods, seed, s3Of(bucket, road.endpoint), async () => {
    const sent = (await listKeys(client, bucket)).filter((key) => key.endsWith('.json'))
    return sent.length === artefacts.size
  })
  await expectWhole(client, bucket, artefacts)
  expectOnce(road.succeeded)
  const sums = expectWithinBudget(pods, redis.lives)
  assert.deepEqual(waits.failed, [], `seed ${seed}: requests failed`)
  const [wallMs, cpuMs] = ['wallMs', 'cpuMs'].map((figure) => Math.max(...ends.map((end) => end[figure])))
  assert.ok(
    cpuMs <= LONGEST_WAIT_MS,
    `seed ${seed}: the code that sends had the main thread for ${cpuMs} ms of CPU`,
  )
  road.close()
  await redis.server.stop()
  assert.ok(
    waits.p99 <= control.p99 + LONGEST_WAIT_MS,
    `seed ${seed}: requests wait ${waits.p99} ms, and ${control.p99} ms where nothing is sent`,
  )
  const seconds = Math.round((performance.now() - startedAtMs) / 1000)
  console.error(
    `seed ${seed}: ${outages.join(', ')}; ${artefacts.size} artefacts, ${sums.budgeted} dumps by the budget, ${sums.insured} by the insurance; ` +
      `${waits.count} requests, p99 ${Math.round(waits.p99)} ms, longest ${Math.round(waits.longest)} ms; without the two ${Math.round(control.p99)} ms and ` +
      `${Math.round(control.longest)} ms; in the code that sends ${Math.round(cpuMs)} ms of CPU, ${Math.round(wallMs)} ms passed (${seconds} s)`,
  )
  totals.artefacts += artefacts.size
  totals.budgeted += sums.budgeted
  totals.insured += sums.insured
  totals.outages += outages.length
  totals.requests += waits.count
  for (const [figure, value] of Object.entries({ wallMs, cpuMs, p99: waits.p99, controlP99: control.p99 }))
    totals[figure] = Math.max(totals[figure], value)
}

/** Outages of both services, one after the other, at random times and of random length. */
async function breakThings(random, redis, pods, startAgain) {
  const endsAtMs = performance.now() + RUN_MS
  const outages = []
  const between = (least, most) => least + random() * (most - least)
  await pause(QUIET_MS)
  const kinds = {
    async s3() {
      await swift.kill()
      await pause(between(500, 4000))
      await swift.start()
    },
    async redis() {
      const { port } = redis.server
      await redis.server.stop()
      await pause(between(500, 6000))
      redis.lives.push(Date.now())
      redis.server = await startRedis({ port })
    },
    async 'redis stopped'() {
      redis.server.kill('SIGSTOP')
      await pause(between(500, 4000))
      redis.server.kill('SIGCONT')
    },
    async both() {
      await Promise.all([kinds.s3(), kinds.redis()])
    },
    async process() {
      const pod = pods.find(({ index, isKilled }) => index < SHARING && !isKilled)
      pod.isKilled = true
      pod.child.kill('SIGKILL')
      await once(pod.child, 'exit')
      await pause(between(0, 2000))
      pods.push(startAgain(pod.index))
    },
  }
  while (performance.now() < endsAtMs) {
    // Each kind once, in a random order, and then any.
    const names = Object.keys(kinds)
    const left = names.filter((name) => !outages.includes(name))
    const from = left.length > 0 ? left : names
    const name = from[Math.floor(random() * from.length)]
    outages.push(name)
    await kinds[name]()
    await pause(between(500, 4000))
  }
  return outages
}

function startPod(index, seed, bucket, endpoint, redisUrl) {
  const rule = { interval: 1000, counter: 1, limiter: [1000, 'hour'] }
  return launch(index, seed, {
    options: { cpu: { threshold: 0, duration: 500, ...rule }, memory: { threshold: 1_000_000, ...rule } },
    redis: {
      ...{ url: redisUrl, service: 'shop', insurance: INSURANCE, timeout: 3000 },
      ...{ cpu: [BUDGET, INTERVAL_MS], memory: [BUDGET, INTERVAL_MS] },
    },
    s3: s3Of(bucket, endpoint),
  })
}

function s3Of(bucket, endpoint) {
  return { bucket, endpoint, credentials: CREDENTIALS, prefix: 'shop', timeout: 10_000 }
}

function launch(index, seed, given) {
  const directory = join(scratch, String(seed), index < SHARING ? 'shared' : String(index))
  mkdirSync(directory, { recursive: true })
  const options = { ...given.options, keep: false, signal: false }
  const text = JSON.stringify({ ...given, options, heapObjects: 40_000 + index * 4000 })
  const child = spawn(process.execPath, [program('fleet-pod.cjs'), text], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  children.add(child)
  const said = []
  const pod = { index, directory, child, said, isKilled: false, onDump: () => undefined }
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = JSON.parse(line)
    said.push(event)
    if (event.name === 'dump') pod.onDump(event.kind)
  })
  return pod
}

async function endPod({ child, said }) {
  // Not 'exit', after which its last lines may still come.
  const ended = once(child, 'close')
  child.send({ order: 'end' })
  const [code] = await ended
  children.delete(child)
  assert.equal(code, 0)
  return said.find(({ name }) => name === 'end')
}

async function startClients(pods) {
  await until('all serve', () => pods.every(({ said }) => said.some(({ name }) => name === 'ready')))
  const ports = pods.map(({ said }) => String(said.find(({ name }) => name === 'ready').port))
  const child = spawn(process.execPath, [program('fleet-clients.mjs'), ...ports], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  let text = ''
  child.stdout.on('data', (part) => (text += part))
  return {
    async end() {
      const closed = once(child, 'close')
      child.kill('SIGTERM')
      await closed
      children.delete(child)
      return JSON.parse(text)
    },
  }
}

/** The same process without the two. It dumps by hand when the other has dumped. */
function startControl(pod, seed) {
  const control = launch(pod.index, `${seed}-control`, { options: { cpu: {}, memory: {} } })
  pod.onDump = (kind) => control.child.connected && control.child.send({ order: kind })
  return control
}

/** Its dumps, each with its start and with what allowed it: after a failure of the fleet it is the insurance, until Redis is back. */
function dumpsOf(said) {
  let isAway = false
  return said.flatMap((event) => {
    if (event.name === 'failure' && event.stage === 'fleet') isAway = true
    if (event.name === 'line' && event.text.endsWith('is used again')) isAway = false
    if (event.name !== 'dump') return []
    const [, startedAtMs] = /-\d+-(\d{13})(?:-worker-\d+)?(?:-\d+)?\.\w+$/.exec(event.file) ?? []
    assert.ok(startedAtMs, `no time in ${event.file}`)
    return [{ kind: event.kind, startedAtMs: Number(startedAtMs), isInsured: isAway }]
  })
}

function expectWithinBudget(pods, lives) {
  const dumps = pods.flatMap(({ said }, process) => dumpsOf(said).map((dump) => ({ ...dump, process })))
  for (const kind of ['cpu', 'memory']) {
    // A Redis that was killed has lost what was spent.
    lives.forEach((life, at) => {
      const isOfLife = ({ startedAtMs }) => startedAtMs >= life && startedAtMs < (lives[at + 1] ?? Infinity)
      const ofLife = dumps.filter((dump) => dump.kind === kind && !dump.isInsured && isOfLife(dump))
      expectAtMost(ofLife, { tokens: BUDGET, intervalMs: INTERVAL_MS, lateMs: LATE_MS })
    })
    for (const process of pods.keys()) {
      const ofProcess = dumps.filter(
        (dump) => dump.kind === kind && dump.isInsured && dump.process === process,
      )
      expectAtMost(ofProcess, { tokens: INSURANCE, intervalMs: INTERVAL_MS, lateMs: LATE_MS })
    }
  }
  const insured = dumps.filter(({ isInsured }) => isInsured).length
  return { insured, budgeted: dumps.length - insured }
}

/** As the next start in each directory does: for processes that were killed, or whose next attempt was not due. */
async function sendWhatIsLeft(pods, seed, s3, isSent) {
  const indices = [...new Map(pods.map(({ directory, index }) => [directory, index])).values()]
  const heirs = indices.map((index) => launch(index, seed, { options: {}, s3 }))
  await until('everything has arrived', isSent)
  await Promise.all(heirs.map(endPod))
}

/** The bucket holds what lies on the disks, byte for byte, and nothing else. */
async function expectWhole(client, bucket, artefacts) {
  const keys = await listKeys(client, bucket)
  const names = keys.map((key) => /\/\d+-\d+-([^/]+)\.(?:gz|json)$/.exec(key)?.[1])
  assert.deepEqual(names.sort(), [...artefacts.keys(), ...artefacts.keys()].sort())
  for (const key of keys) {
    const [, name, kind] = /\/\d+-\d+-([^/]+)\.(gz|json)$/.exec(key)
    const { Body } = await client.send(new s3.GetObjectCommand({ Bucket: bucket, Key: key }))
    const body = Buffer.from(await Body.transformToByteArray())
    const file = artefacts.get(name)
    const isSame =
      kind === 'gz' ? gunzipSync(body).equals(readFileSync(file)) : body.equals(readFileSync(`${file}.json`))
    assert.ok(isSame, `${key} is not what lies on the disk`)
  }
}

/** The `.json` of an artefact is accepted once, after its artefact, and nothing of it is sent after that. */
function expectOnce(succeeded) {
  const accepted = new Set()
  for (const { method, key, query } of succeeded) {
    const isWhole =
      method === 'PUT' ? !query.includes('partNumber') : method === 'POST' && query.includes('uploadId')
    if (!isWhole || key === '') continue
    const base = key.replace(/\.(gz|json)$/, '')
    assert.ok(!accepted.has(`${base}.json`), `${key} was sent again`)
    if (key.endsWith('.json')) assert.ok(accepted.has(`${base}.gz`), `${key} came before its artefact`)
    accepted.add(key)
  }
}

/** Name and path of each artefact that has its final name. */
function artefactsIn(directory) {
  const names = readdirSync(directory).filter((name) => /\.(cpuprofile|heapsnapshot|heapprofile)$/.test(name))
  return names.map((name) => [name, join(directory, name)])
}

async function listKeys(client, bucket) {
  const keys = []
  let token
  do {
    const page = await client.send(new s3.ListObjectsV2Command({ Bucket: bucket, ContinuationToken: token }))
    keys.push(...(page.Contents ?? []).map(({ Key }) => Key))
    token = page.NextContinuationToken
  } while (token)
  return keys
}

async function until(what, look) {
  const givesUpAtMs = performance.now() + PATIENCE_MS
  while (!(await look())) {
    assert.ok(performance.now() < givesUpAtMs, `waited in vain until ${what}`)
    await pause(100)
  }
}

/** The same numbers for the same seed (mulberry32). */
function randomOf(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
