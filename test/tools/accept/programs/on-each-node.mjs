import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const NODES = (process.env.CMM_NODES ?? '20,22,24,26').split(',')

/**
 * Runs a program of this directory with one Node after the other, prints and returns the last line of each, joined, and fails if
 * one of them did.
 */
export function onEachNode(program, ...args) {
  const figures = []
  for (const major of NODES) {
    const { status, signal, stdout } = spawnSync(nodeOf(major), [join(here, program), ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    figures.push(
      stdout.trimEnd().split('\n').at(-1) || `Node ${major}: ended with ${signal ?? `code ${status}`}`,
    )
    if (status !== 0) process.exitCode = 1
  }
  console.log(figures.join('; '))
  return figures.join('; ')
}

/** The binary of a major version. One that is not the one that runs here comes from npm, once. */
export function nodeOf(major) {
  if (process.versions.node.split('.')[0] === major) return process.execPath
  const name = `node-linux-${process.arch}`
  const prefix = join(here, '.built', `node-${major}`)
  const binary = join(prefix, 'node_modules', name, 'bin', 'node')
  if (!existsSync(binary)) {
    mkdirSync(prefix, { recursive: true })
    const options = ['--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--prefix', prefix]
    const { status } = spawnSync('npm', ['install', ...options, `${name}@${major}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    if (status !== 0) throw new Error(`Node ${major} could not be installed from npm`)
  }
  return binary
}
