import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { installPackage } from '../../../e2e/package/installed-package'
import { assertTwins, type Foreign, run } from '../../../e2e/register/twins'

const tools = process.argv[2] ?? ''
const major = Number(process.versions.node.split('.')[0])
const permission = major > 20 ? '--permission' : '--experimental-permission'
const programs = join(__dirname, '../../../e2e/register/programs')

/** A project with a little of everything. */
const FILES: Readonly<Record<string, string>> = {
  'package.json': JSON.stringify({ name: 'foreign', private: true, scripts: { hello: 'node hello.js 7' } }),
  'hello.js': 'console.log("hello", process.argv.length); process.exitCode = Number(process.argv[2] ?? 0)',
  'tests/sum.test.js': "test('sum', () => { expect(1 + 1).toBe(2) })",
  'jest.config.js': "module.exports = { testMatch: ['**/tests/*.test.js'] }",
  'specs/sum.spec.js': "it('sums', () => { if (1 + 1 !== 2) throw new Error('no') })",
  'vitest.config.mjs': "export default { test: { include: ['vitests/*.mjs'] } }",
  'vitests/sum.mjs': "import { expect, test } from 'vitest'\ntest('sum', () => { expect(1 + 1).toBe(2) })",
  'avas/sum.mjs': "import test from 'ava'\ntest('sum', (t) => t.is(1 + 1, 2))",
  'node-tests/sum.test.js': "require('node:test').test('sum', () => {})",
  'node-tests/fails.test.js':
    "require('node:test').test('fails', () => { throw Object.assign(new Error('x'), { stack: 'x' }) })",
  'main.ts': 'const count: number = 5\nconsole.log(count)\nprocess.exitCode = 4',
  'wrong.ts': 'const count: number = "five"\nexport { count }',
  'entry.js': "import { hello } from './part.js'\nconsole.log(hello)",
  'part.js': "export const hello = 'hello'",
  'eslint.config.mjs': 'export default [{ rules: { "no-undef": "error" } }]',
  'pnpm-workspace.yaml': '',
}

void main()

async function main(): Promise<void> {
  const installed = await installPackage()
  const project = mkdtempSync(join(tmpdir(), 'foreign-project-'))
  try {
    for (const [name, text] of Object.entries(FILES)) {
      mkdirSync(dirname(join(project, name)), { recursive: true })
      writeFileSync(join(project, name), text)
    }
    symlinkSync(join(tools, 'node_modules'), join(project, 'node_modules'))
    const register = join(installed.project, 'node_modules/cpu-memory-monitor/dist/register.js')
    const commands = [...ofTools(), ...ofNode()].map((command) => ({ ...command, cwd: project }))
    const wrong = commands.filter((command) => !isSame(command, register, project))
    const names = wrong.map(({ name }) => name).join(', ')
    console.log(
      `Node ${major}: ${commands.length - wrong.length} of ${commands.length} command lines the same${names && `, not ${names}`}`,
    )
    if (wrong.length > 0) process.exitCode = 1
  } finally {
    rmSync(project, { recursive: true, force: true })
    installed.remove()
  }
}

function isSame(command: Foreign, register: string, project: string): boolean {
  try {
    // Caches are filled, and times remembered, by a run before the two.
    run(command, project, '')
    assertTwins(command, register)
    return true
  } catch (error) {
    console.error(`${command.name}: ${String(error)}`)
    return false
  }
}

function node(name: string, ...args: string[]): Foreign {
  return { name, file: process.execPath, args }
}

/** The script of a tool, run by this Node. */
function tool(name: string, script: string, ...args: string[]): Foreign {
  return node(name, join(tools, 'node_modules', script), ...args)
}

function ofTools(): Foreign[] {
  return [
    {
      name: 'npm',
      file: 'npm',
      args: ['run', 'hello'],
      env: { npm_config_update_notifier: 'false' },
    },
    { name: 'npx', file: 'npx', args: ['--no-install', 'mocha', '--version'] },
    tool('yarn 1', 'yarn/bin/yarn.js', '--silent', 'run', 'hello'),
    tool('yarn 4', '@yarnpkg/cli-dist/bin/yarn.js', '--version'),
    tool('pnpm', 'pnpm/bin/pnpm.cjs', '--version'),
    tool('corepack', 'corepack/dist/corepack.js', '--version'),
    tool('jest', 'jest/bin/jest.js', '--no-watchman', '--colors=false'),
    tool('mocha', 'mocha/bin/mocha.js', 'specs'),
    tool('mocha, parallel', 'mocha/bin/mocha.js', '--parallel', 'specs'),
    tool('vitest, threads', 'vitest/vitest.mjs', 'run', '--pool=threads'),
    tool('vitest, forks', 'vitest/vitest.mjs', 'run', '--pool=forks'),
    tool('ava', 'ava/entrypoints/cli.mjs', '--tap', 'avas/sum.mjs'),
    tool('tsx', 'tsx/dist/cli.mjs', 'main.ts'),
    tool('tsc', 'typescript/bin/tsc', '--noEmit', '--types', '', 'wrong.ts'),
    tool('eslint', 'eslint/bin/eslint.js', 'entry.js'),
    tool('esbuild', 'esbuild/bin/esbuild', '--bundle', '--log-level=silent', 'entry.js'),
    tool('rollup', 'rollup/dist/bin/rollup', '--silent', 'entry.js'),
    tool(
      'webpack',
      'webpack/bin/webpack.js',
      '--mode=production',
      '--stats=errors-only',
      './entry.js',
      '-o',
      'out',
    ),
  ]
}

function ofNode(): Foreign[] {
  const watch = ['-s', 'TERM', '8', process.execPath, '--watch', 'hello.js']
  const program = 'setTimeout(() => { console.log(1); process.exitCode = 6 }, 400)'
  const flags = ['--frozen-intrinsics', '--no-harmony-atomics', '--disallow-code-generation-from-strings']
  return [
    ...(major > 20 ? [node('node --run', '--run', 'hello')] : []),
    node('node --test', '--test', 'node-tests/sum.test.js', 'node-tests/fails.test.js'),
    ...(major > 20 ? [node('one process for tests', '--test', isolation(), 'node-tests/sum.test.js')] : []),
    { name: 'node --watch', file: 'timeout', args: watch },
    ...flags.map((flag) => node(flag, flag, '-e', program)),
    node(permission, permission, '--allow-fs-read=*', '-e', program),
    node('child_process.fork', join(programs, 'forks.js')),
    node('a cluster', join(programs, 'primary.js')),
    node('worker threads', join(programs, 'threads.js')),
    node('a program that throws', '-e', "setTimeout(() => { throw new Error('thrown') }, 300)"),
  ]
}

function isolation(): string {
  return major > 22 ? '--test-isolation=none' : '--experimental-test-isolation=none'
}
