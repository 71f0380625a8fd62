// Fifty processes of one service, each above its threshold all the time, and a real Redis. While it answers they make three dumps
// between them. While it is dead each makes its insurance of one and no more. When it is back, without its data, they make three.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startRedis, whyNoRedis } from '../services/redis.mjs'

const PODS = 50
const BUDGET = 3
const CLIENTS = ['ioredis', 'redis', 'iovalkey']
/** Longer than the processes take to start, or to ask again, on a busy machine. */
const PATIENCE_MS = 300_000
/** No dump that is not due comes later. */
const AFTERMATH_MS = 10_000
/** Fifty processes share two cores: some get none for seconds. */
const TIMEOUT_MS = 60_000

const missing = whyNoRedis()
if (missing) {
  console.log(missing)
  process.exit(1)
}
const program = join(dirname(fileURLToPath(import.meta.url)), '../../e2e/hooks/programs/pod.js')
const directory = mkdtempSync(join(tmpdir(), 'accept-'))
let redis = await startRedis()
const children = []
const pods = Array.from({ length: PODS }, (_, index) => startPod(CLIENTS[index % CLIENTS.length]))
process.once('SIGTERM', () => process.exit(143))
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

await until('each process has been refused', () => pods.every(({ said }) => count(said, isOfFleet) > 0))
await pause(AFTERMATH_MS)
const alive = dumps()
assert.equal(alive, BUDGET)
for (const { child } of pods.splice(0)) {
  assert.equal(child.exitCode, null)
  child.kill('SIGKILL')
}

// What was refused is remembered for minutes, so fresh processes ask the dead one.
await redis.stop()
pods.push(...Array.from({ length: PODS }, (_, index) => startPod(CLIENTS[index % CLIENTS.length])))
const isUninsured = (event) => isOfFleet(event) && event.numbers.insurance === 1
await until('each has used its insurance', () => pods.every(({ said }) => count(said, isUninsured) > 0))
await pause(AFTERMATH_MS)
const away = dumps()
assert.equal(away, PODS)
for (const { said } of pods)
  assert.equal(
    count(said, ({ stage }) => stage === 'fleet'),
    1,
  )

redis = await startRedis({ port: redis.port })
await until('the budget is used again', () => dumps() === away + BUDGET)
await until('each has heard so', () => pods.every(({ said }) => count(said, isBack) === 1))
await pause(AFTERMATH_MS)
const back = dumps() - away
assert.equal(back, BUDGET)
for (const { child } of pods) assert.equal(child.exitCode, null)
await redis.stop()
console.log(
  `${PODS} processes, 3 clients: ${alive} dumps while Redis answered, ${away} by an insurance of 1 while it was dead, ` +
    `${back} after its return`,
)
process.exit()

function startPod(client) {
  const fleet = { url: redis.url, service: 'shop', client, insurance: 1, timeout: TIMEOUT_MS }
  const own = mkdtempSync(join(directory, 'pod-'))
  const child = spawn(process.execPath, [program, JSON.stringify({ fleet, cpu: { interval: 1000 } })], {
    cwd: own,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const said = []
  createInterface({ input: child.stdout }).on('line', (line) => said.push(JSON.parse(line)))
  return { child, said }
}

function dumps() {
  return pods.reduce((sum, { said }) => sum + count(said, ({ name }) => name === 'dump'), 0)
}

function count(said, passes) {
  return said.filter(passes).length
}

function isOfFleet({ name, reason }) {
  return name === 'skip' && reason === 'fleet'
}

function isBack({ text }) {
  return /is used again$/.test(text ?? '')
}

async function until(what, look) {
  const givesUpAtMs = performance.now() + PATIENCE_MS
  console.error(`waiting until ${what}`)
  while (!look()) {
    assert.ok(performance.now() < givesUpAtMs, `waited in vain until ${what}`)
    await pause(100)
  }
}
