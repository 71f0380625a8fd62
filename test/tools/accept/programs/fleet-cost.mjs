// What the main thread pays while 200 MB are sent.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import * as s3 from '@aws-sdk/client-s3'

const SIZE_BYTES = 200_000_000
const BUCKET = 'cost'
const MAX_MS = 120_000

/** @returns {Promise<number>} CPU of the main thread from the start of a round to its end, percent of a core. */
export async function mainThreadShare({ endpoint }, credentials, program) {
  const directory = mkdtempSync(join(tmpdir(), 'accept-'))
  leaveSnapshot(directory)
  const client = new s3.S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { ...credentials },
  })
  await client.send(new s3.CreateBucketCommand({ Bucket: BUCKET }))
  const options = { signal: false }
  const given = { options, s3: { bucket: BUCKET, endpoint, credentials }, heapObjects: 1 }
  const child = spawn(process.execPath, [program, JSON.stringify(given)], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  try {
    const lines = createInterface({ input: child.stdout })
    const sent = new Promise((resolve, reject) => {
      lines.on('line', (line) => {
        const { name, text, message } = JSON.parse(line)
        if (name === 'failure') reject(new Error(message))
        if (/^sent memory-/.test(text ?? '')) resolve()
      })
      child.once('exit', () => reject(new Error('it ended before it had sent')))
      setTimeout(() => reject(new Error('it has sent nothing')), MAX_MS).unref()
    })
    // From the start of the process to the first look nothing happens on the main thread; its start is not the upload's.
    await once(lines, 'line')
    const before = usage(child.pid)
    await sent
    const after = usage(child.pid)
    return (100 * (after.cpuMs - before.cpuMs)) / (after.atMs - before.atMs)
  } finally {
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
}

/** CPU of the main thread, from the kernel. */
function usage(pid) {
  const [runNs] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ')
  return { cpuMs: Number(runNs) / 1e6, atMs: performance.now() }
}

/** Lists of numbers, which shrink as those of a snapshot do. */
function leaveSnapshot(directory) {
  const artefact = 'memory-7-1000.heapsnapshot'
  let state = 1
  const numbers = Array.from({ length: 200_000 }, () => (state = (state * 48271) % 2147483647) % 10_000)
  const piece = Buffer.from(numbers.join(','))
  const content = Buffer.alloc(SIZE_BYTES)
  for (let at = 0; at < SIZE_BYTES; at += piece.length) piece.copy(content, at)
  writeFileSync(join(directory, artefact), content, { mode: 0o600 })
  const sidecar = {
    ...{ tool: 'cpu-memory-monitor', version: '2.0.0', artefact },
    why: { kind: 'memory', rule: 'threshold', details: {}, readings: [] },
    where: { host: hostname(), directory },
    how: { sizeBytes: SIZE_BYTES },
  }
  writeFileSync(join(directory, `${artefact}.json`), JSON.stringify(sidecar), { mode: 0o600 })
}
