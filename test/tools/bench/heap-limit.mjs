// How a process dies of V8's heap limit, and what it leaves: with nothing, with this library, with Node's own
// --heapsnapshot-near-heap-limit=1, and with node-oom-heapdump. The time from the limit to the death, the memory at its peak,
// whether the snapshot is whole and when, and what is left in a container with room for the heap and 400 MB.
//
//   npm run bench -- heap-limit [--limits 100,200,400] [--rounds 3] [--json <file>]
//
// With the defaults 20 minutes; a round of 100 MB takes one. The peer is compiled on first use into test/tools/bench/.built.
// Each process has a memory cgroup of its own, which only root can make.
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { require as requireTs } from 'tsx/cjs/api'
import { sidecarOf, wayOfDying, withDeath, written } from '../accept/programs/dying.mjs'
import { withCgroup } from '../accept/programs/forking.mjs'

const { CONTAINER_MB } = requireTs('./heap-limit/figures.ts', import.meta.url)
const { textOf } = requireTs('./heap-limit/text.ts', import.meta.url)
const { deliver, progress, reported } = requireTs('./output/report.ts', import.meta.url)
const { install } = requireTs('./peers.ts', import.meta.url)

const MIB = 2 ** 20
const UNLIMITED_BYTES = 2 ** 40
const SAMPLE_MS = 20
const PEER = 'node-oom-heapdump@3.8.1'
const LEAKED_CLASS = '"LeakedOrder"'
const CHUNK_BYTES = 4 * MIB

const { values } = parseArgs({
  options: {
    limits: { type: 'string', default: '100,200,400' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
})
const limits = values.limits.split(',').map(Number)
const rounds = Number(values.rounds)

const peer = install(PEER, { scripts: true })
const WAYS = {
  nothing: { start: {} },
  'cpu-memory-monitor': {
    start: { options: { memory: { limiter: [1000, 'hour'] }, signal: false, logger: false } },
  },
  '--heapsnapshot-near-heap-limit=1': { start: { execArgv: ['--heapsnapshot-near-heap-limit=1'] } },
  'node-oom-heapdump': {
    reason: peer.reason,
    start: {
      execArgv: ['--require', fileURLToPath(new URL('heap-limit/preload-peer.cjs', import.meta.url))],
      env: { BENCH_MODULES: peer.modules },
    },
  },
}

const report = await reported({ limits: values.limits, rounds }, measureAll)
deliver(report, textOf(report), values.json)
process.exit()

async function measureAll() {
  const rows = []
  for (const limitMb of limits) {
    const ofLimit = Object.entries(WAYS).map(([way, { reason }]) => ({
      limitMb,
      way,
      reason,
      deaths: [],
      contained: [],
    }))
    const twins = new Set()
    for (let round = 0; round < rounds; round++) {
      for (const { way, deaths, contained, reason } of ofLimit) {
        if (reason) continue
        const { start } = WAYS[way]
        const death = await inGroup(UNLIMITED_BYTES, limitMb, start)
        if (way === 'nothing') twins.add(death.how)
        deaths.push({ ...death, isDeathTheSame: twins.has(death.how) })
        if (way !== 'nothing') contained.push(await inGroup((limitMb + CONTAINER_MB) * MIB, limitMb, start))
        progress(
          `${limitMb} MB, round ${round + 1} of ${rounds}: ${way}: death after ${Math.round(death.afterMs ?? 0)} ms, ` +
            `${death.hasSnapshot ? 'a whole snapshot' : 'no snapshot'}, contained ${contained.at(-1)?.hasSnapshot ?? '-'}`,
        )
      }
    }
    rows.push(...ofLimit)
  }
  return rows
}

/** A death in a memory cgroup, which also counts the memory of the processes that the dying one leaves behind. */
async function inGroup(limitBytes, limitMb, start) {
  return await withCgroup(limitBytes, async (procs) => {
    let allBytes = 0
    const timer = setInterval(
      () => (allBytes = Math.max(allBytes, anonymousBytes(dirname(procs)))),
      SAMPLE_MS,
    )
    try {
      const death = await withDeath({ limitMb, ...start, env: { ...start.env, CMM_PROCS: procs } }, (each) =>
        describe(each, start.options !== undefined),
      )
      return { ...death, allMb: allBytes / MIB }
    } finally {
      clearInterval(timer)
    }
  })
}

async function describe(death, isOurs) {
  const { profile, snapshot, reachedAtMs } = isOurs ? await ourFiles(death) : otherFiles(death)
  const isWhole = snapshot !== undefined && isWholeSnapshot(snapshot)
  return {
    how: wayOfDying(death),
    afterMs: reachedAtMs && death.diedAtMs - reachedAtMs,
    peakMb: death.peakBytes / MIB,
    hasSnapshot: isWhole,
    hasProfile: profile !== undefined,
    wholeAfterMs: isWhole ? statSync(snapshot).mtimeMs - reachedAtMs : undefined,
  }
}

async function ourFiles(death) {
  const { profile, snapshot } = await written(death)
  const any = profile ?? snapshot
  return { profile, snapshot, reachedAtMs: any && Date.parse(sidecarOf(any).why.details.reachedAt) }
}

/** Node and the peer create their file when the limit is reached. */
function otherFiles({ directory }) {
  const name = readdirSync(directory).find((each) => each.endsWith('.heapsnapshot'))
  if (name === undefined) return {}
  const snapshot = join(directory, name)
  return { snapshot, reachedAtMs: statSync(snapshot).birthtimeMs }
}

/** From its first bytes to its last, with the class that filled the heap. */
function isWholeSnapshot(file) {
  const fd = openSync(file, 'r')
  try {
    const { size } = fstatSync(fd)
    const text = (length, from) => {
      const buffer = Buffer.alloc(length)
      return buffer.latin1Slice(0, readSync(fd, buffer, 0, length, from))
    }
    if (
      size < CHUNK_BYTES ||
      !text(20, 0).startsWith('{"snapshot":') ||
      !text(8, size - 8)
        .trimEnd()
        .endsWith(']}')
    )
      return false
    // The strings are at the end.
    for (let from = size; from > 0;) {
      from = Math.max(0, from - CHUNK_BYTES)
      if (text(CHUNK_BYTES + LEAKED_CLASS.length, from).includes(LEAKED_CLASS)) return true
    }
    return false
  } finally {
    closeSync(fd)
  }
}

/** Memory of a cgroup that is not page cache, v2 or v1. */
function anonymousBytes(group) {
  try {
    return Number(
      /^(?:anon|total_rss) (\d+)/m.exec(readFileSync(join(group, 'memory.stat'), 'utf8'))?.[1] ?? 0,
    )
  } catch {
    return 0
  }
}
