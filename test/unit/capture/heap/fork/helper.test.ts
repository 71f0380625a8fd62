import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { readLibc } from '../../../../../src/capture/heap/fork/helper.js'
import { whyNoHelper } from '../../../../e2e/fork/native/forking-server'
import { scratch } from '../../../../harness/program'
import { installLibrary, repository } from '../../package-copy'

const FUNCTIONS =
  'survey fork isForkedChild armHeapLimit prepareHeapLimit disarmHeapLimit threadsAvailable watchGc unwatchGc ' +
  'gcTimeMs wait listenAt connectTo isConnected peerOf closeSocket exitCodes'
const BINARY = `fork-helper.napi.${readLibc()}.node`
const OWN_BINARY = path.join('prebuilds', `linux-${process.arch}`, BINARY)

interface Run {
  readonly cwd?: string
  readonly environment?: NodeJS.ProcessEnv
  /** Node itself, with its options. */
  readonly command?: readonly [string, ...string[]]
}

/** Loads the helper of a package in a fresh process. */
function load(directory: string, { cwd, environment = {}, command = [process.execPath] }: Run = {}) {
  const program = `
    const loaded = require(${JSON.stringify(path.join(directory, 'dist/capture/heap/fork/helper.js'))}).loadForkHelper()
    const text = 'helper' in loaded ? Object.keys(loaded.helper).join(' ') : loaded.unavailable
    console.log(JSON.stringify({ text, files: Object.keys(require.cache).filter((file) => file.endsWith('.node')) }))`
  const [executable, ...args] = command
  const env = { ...process.env, ...environment }
  const output = execFileSync(executable, [...args, '-e', program], { cwd, env, encoding: 'utf8' })
  return JSON.parse(output) as { text: string; files: string[] }
}

/** The package as it is installed, with the helper if that is built. */
function installed(t: TestContext): string {
  return installLibrary(scratch(t), whyNoHelper() === false ? ['prebuilds'] : [])
}

test('the helper is there where it was built', { skip: whyNoHelper() }, () => {
  const file = path.join(repository, OWN_BINARY)
  assert.deepEqual(load(repository), { text: FUNCTIONS, files: [file] })
})

test('it is the one of the package, whatever the environment names', { skip: whyNoHelper() }, (t) => {
  const planted = scratch(t)
  mkdirSync(path.join(planted, 'build/Release'), { recursive: true })
  cpSync(path.join(repository, OWN_BINARY), path.join(planted, 'build/Release/x.node'))
  cpSync(path.join(repository, 'prebuilds'), path.join(planted, 'prebuilds'), { recursive: true })
  const environment = {
    LIBC: 'musl',
    PREBUILDS_ONLY: '1',
    npm_config_arch: 's390x',
    npm_config_platform: 'darwin',
    npm_config_libc: 'musl',
    CPU_MEMORY_MONITOR_PREBUILD: planted,
    NODE_PATH: planted,
  }
  const file = path.join(repository, OWN_BINARY)
  assert.deepEqual(load(repository, { environment, cwd: planted }), { text: FUNCTIONS, files: [file] })
})

test('it is the one of the package, whatever was compiled into build/', { skip: whyNoHelper() }, (t) => {
  const directory = installed(t)
  for (const folder of ['build/Release', 'build/Debug']) {
    mkdirSync(path.join(directory, folder), { recursive: true })
    cpSync(path.join(repository, OWN_BINARY), path.join(directory, folder, BINARY))
  }
  assert.deepEqual(load(directory).files, [path.join(directory, OWN_BINARY)])
  rmSync(path.join(directory, 'prebuilds'), { recursive: true })
  assert.deepEqual(load(directory).files, [])
})

test('a Node that a loader was asked to run has it too', { skip: whyNoHelper() }, () => {
  const loader = process.arch === 'x64' ? '/lib64/ld-linux-x86-64.so.2' : '/lib/ld-linux-aarch64.so.1'
  if (readLibc() === 'musl') return
  assert.equal(load(repository, { command: [loader, process.execPath] }).text, FUNCTIONS)
})

test(
  'where addons are forbidden it is unavailable, and says why in one line',
  { skip: whyNoHelper() },
  () => {
    const { text } = load(repository, { command: [process.execPath, '--no-addons'] })
    assert.match(text, /^Cannot load native addon.*$/)
  },
)

test('for a processor without a binary it is unavailable, and says for which', (t) => {
  const directory = installLibrary(scratch(t))
  assert.match(
    load(directory).text,
    new RegExp(`^no fork helper for the processor ${process.arch}: .* does not exist$`),
  )
})

test(
  'for a C library without a binary it is unavailable, and names the file',
  { skip: whyNoHelper() },
  (t) => {
    const directory = installed(t)
    const file = path.join(directory, OWN_BINARY)
    rmSync(file)
    assert.equal(
      load(directory).text,
      `no fork helper for the C library ${OWN_BINARY.split('.').at(-2)}: ${file} does not exist`,
    )
  },
)

test('in the directory of another package it is unavailable', { skip: whyNoHelper() }, (t) => {
  const directory = installed(t)
  const manifest = path.join(directory, 'package.json')
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"cpu-memory-monitor"', '"other"'))
  const { text, files } = load(directory)
  assert.match(text, /is not in the package cpu-memory-monitor/)
  assert.deepEqual(files, [])
})

test(
  'the package has binaries under the names that are loaded, and nothing else',
  { skip: whyNoHelper() },
  () => {
    const prebuilds = path.join(repository, 'prebuilds')
    const files = readdirSync(prebuilds, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    for (const { name, parentPath } of files) {
      const file = path.join(path.relative(prebuilds, parentPath), name)
      assert.match(file, /^linux-(x64|arm64)\/fork-helper\.napi\.(glibc|musl)\.node$/)
    }
  },
)
