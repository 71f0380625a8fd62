// Records the heaps of the programs in ./programs and writes ./traces/<program>.json.
//
//   npm run bench -- leak record [seconds per program, default 600] [programs, default all]
import { execFile } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const here = fileURLToPath(new URL('.', import.meta.url))
const COMMON = 'parts.cjs'
const MB = 1024 * 1024

/** @param names - Programs to record, without `.cjs`; none: all. */
export async function record(seconds = '600', names = []) {
  const all = readdirSync(join(here, 'programs')).filter((file) => file !== COMMON)
  const files = all.filter((file) => names.length === 0 || names.includes(basename(file, '.cjs')))
  await Promise.all(files.map((file) => recordOne(file, seconds)))
}

async function recordOne(file, seconds) {
  const args = [join(here, 'record-case.cjs'), join(here, 'programs', file), seconds]
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    maxBuffer: 16 * MB,
    timeout: (Number(seconds) + 120) * 1000,
  })
  const trace = basename(file, '.cjs')
  const { readings, ...program } = JSON.parse(stdout)
  const text = JSON.stringify({ ...program, readings: [] }, null, 2)
  const rows = readings.map(([minute, kilobytes]) => `    [${minute}, ${kilobytes}]`).join(',\n')
  writeFileSync(join(here, 'traces', `${trace}.json`), `${text.replace('[]', `[\n${rows}\n  ]`)}\n`)
  const sizes = readings.map(([, kilobytes]) => kilobytes / 1024)
  console.log(
    `${trace}: ${readings.length} readings, ${Math.min(...sizes).toFixed(0)} to ${Math.max(...sizes).toFixed(0)} MB`,
  )
}
