// Command lines that know nothing of the monitor, each without and with NODE_OPTIONS=--require of the packed package's register, on
// every supported Node: package managers, test runners, build tools, and flags of Node itself. What they print and how they end must
// be the same, times and process ids aside. CMM_NODES (20,22,24,26), CMM_FOREIGN_TOOLS (a directory where the tools are installed
// already). Needs the npm registry.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onEachNode } from './programs/on-each-node.mjs'

const TOOLS = [
  ...['jest@30', 'mocha@11', 'vitest@3', 'tsx@4', 'ava@6', 'typescript@5', 'eslint@9', 'rollup@4', 'esbuild'],
  ...['webpack@5', 'webpack-cli@6', 'yarn@1', '@yarnpkg/cli-dist@4', 'pnpm@10', 'corepack@0.34', 'pm2@6'],
]

const given = process.env.CMM_FOREIGN_TOOLS
const directory = given ?? mkdtempSync(join(tmpdir(), 'foreign-tools-'))
try {
  if (given === undefined) {
    const options = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', directory]
    const { status } = spawnSync('npm', ['install', ...options, ...TOOLS], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    if (status !== 0) throw new Error('the tools could not be installed')
  }
  onEachNode('foreign-here.mjs', directory)
} finally {
  if (given === undefined) rmSync(directory, { recursive: true, force: true })
}
