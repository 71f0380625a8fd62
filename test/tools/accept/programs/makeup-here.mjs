// Runs the guilty programs on the Node that runs this, one after the other. CMM_SHAPES. The last line is JSON.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const programs = fileURLToPath(new URL('../../../e2e/monitor/programs/', import.meta.url))
const { judge, shapes } = createRequire(import.meta.url)(join(programs, 'guilty-shapes.js'))
const PATIENCE_MS = 180_000

/** Resolves with what is wrong. */
async function look(shape) {
  const directory = mkdtempSync(join(tmpdir(), 'makeup-'))
  const options = { ...shapes[shape].options, signal: false }
  const program = [join(programs, 'guilty.js'), JSON.stringify(options), shape]
  const stdio = ['ignore', 'pipe', 'inherit', 'ipc']
  const child = spawn(process.execPath, program, { cwd: directory, stdio })
  const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  try {
    let line = ''
    for await (const text of createInterface({ input: child.stdout })) {
      if (!text.startsWith('{"name"')) continue
      const said = JSON.parse(text)
      if (said.name === 'line') line = said.text
      if (said.name === 'dump') return judge(shape, said, line, JSON.parse(readFileSync(`${said.file}.json`)))
      if (said.name === 'failure') console.error(`${shape}: ${said.stage}: ${said.message}`)
    }
    return ['there is no dump']
  } finally {
    clearTimeout(patience)
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
}

const wrong = []
const names = process.env.CMM_SHAPES?.split(',') ?? Object.keys(shapes)
let right = 0
for (const shape of names) {
  const complaints = await look(shape)
  if (complaints.length === 0) right++
  wrong.push(...complaints.map((complaint) => `${shape}: ${complaint}`))
}
console.log(JSON.stringify({ node: process.version, right, all: names.length, wrong }).replaceAll('; ', ', '))
