// The pools that applications use, as they come from npm: a hot and a leaking worker of each, on each Node. The main file is of that
// worker and names its function or class. CMM_NODES, CMM_POOLS (a directory where they are installed already). Needs the npm registry.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onEachNode } from './programs/on-each-node.mjs'

const POOLS = ['piscina@5', 'tinypool@2']

const given = process.env.CMM_POOLS
const directory = given ?? mkdtempSync(join(tmpdir(), 'pools-'))
try {
  if (given === undefined) {
    const options = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', directory]
    const { status } = spawnSync('npm', ['install', ...options, ...POOLS], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    if (status !== 0) throw new Error('the pools could not be installed')
  }
  // Modules are looked for from where the program lies.
  for (const file of ['pool-program.mjs', 'pool-task.mjs'])
    copyFileSync(new URL(`programs/${file}`, import.meta.url), join(directory, file))
  const nodes = onEachNode('pools-here.mjs', directory)
    .split('; ')
    .map((line) => JSON.parse(line))
  const right = nodes.reduce((sum, node) => sum + node.right, 0)
  const all = nodes.reduce((sum, node) => sum + node.all, 0)
  for (const { node, wrong } of nodes) for (const line of wrong) console.error(`${node}: ${line}`)
  console.log(
    `${right} of ${all} workers of pools named right on ${nodes.map(({ node }) => node).join(', ')}`,
  )
  assert.equal(right, all)
} finally {
  if (given === undefined) rmSync(directory, { recursive: true, force: true })
}
