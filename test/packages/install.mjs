// Installs the three optional engines and builds them for the Node that runs this script, into
// .built/node-<major> beside it. The tests find that directory by CMM_TEST_PACKAGES. Work already done is skipped.
// Prints the directory on stdout; everything else goes to stderr.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const major = Number(process.versions.node.split('.')[0])
const manifest = readFileSync(join(here, 'package.json'), 'utf8')
const packages = Object.keys(JSON.parse(manifest).dependencies)
const target = join(here, '.built', `node-${major}`)
const stampFile = join(target, 'built.json')
const stamp = createHash('sha256')
  .update(`${manifest}${process.versions.modules}${process.arch}`)
  .digest('hex')

/** v8-profiler-next 1.10.0 calls `Isolate::GetIsolate`, which V8 14 no longer has. */
const expectedMissing = major >= 26 ? ['v8-profiler-next'] : []

if (!isDone()) build()
const missing = packages.filter((name) => !loads(name))
for (const name of missing)
  say(`${name} DID NOT BUILD for Node ${process.version}: its tests will be skipped`)

const unexpected = missing.filter((name) => !expectedMissing.includes(name))
if (process.env.CI === 'true' && unexpected.length > 0) {
  say(`in CI this is a failure: ${unexpected.join(', ')}`)
  process.exit(1)
}
console.log(target)

function isDone() {
  return existsSync(stampFile) && JSON.parse(readFileSync(stampFile, 'utf8')).stamp === stamp
}

/** Installs without any script, then builds one package at a time, so that one that fails takes none with it. */
function build() {
  mkdirSync(target, { recursive: true })
  writeFileSync(join(target, 'package.json'), manifest)
  say(`installing ${packages.join(', ')} for Node ${process.version}; building takes up to a minute`)
  if (!npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'])) return
  for (const name of packages) {
    npm(['rebuild', name, '--foreground-scripts'])
    // What is there works: tests need only look whether a package is there.
    if (!loads(name)) rmSync(join(target, 'node_modules', name), { recursive: true, force: true })
  }
  writeFileSync(stampFile, JSON.stringify({ stamp, node: process.version }))
}

/** Runs npm with this very Node, so that addons are built for it and not for the first node on the PATH. */
function npm(args) {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [npmCli(), ...args], {
    cwd: target,
    encoding: 'utf8',
    timeout: 300_000,
    env: npmEnvironment(),
  })
  if (status === 0) return true
  say(`npm ${args.join(' ')} failed${error ? `: ${error.message}` : ''}\n${tail(`${stdout}\n${stderr}`)}`)
  return false
}

/** A parent npm passes its own configuration on by npm_ variables; the ones about another project must not reach this one. */
function npmEnvironment() {
  const headers = resolve(dirname(process.execPath), '..')
  return {
    ...process.env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
    npm_config_build_from_source: 'true',
    npm_config_ignore_scripts: 'false',
    ...(existsSync(join(headers, 'include', 'node', 'node.h')) ? { npm_config_nodedir: headers } : {}),
  }
}

function npmCli() {
  const running = process.env.npm_execpath
  if (running?.endsWith('npm-cli.js')) return running
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const npm = join(directory, 'npm')
    if (!existsSync(npm)) continue
    const cli = realpathSync(npm)
    if (cli.endsWith('npm-cli.js')) return cli
  }
  throw new Error('npm was not found: run this script by npm, or put npm on the PATH')
}

/** Only loading it shows that an addon fits this Node; in a process of its own, since some leave handlers behind. */
function loads(name) {
  const { status } = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(name)})`], {
    cwd: target,
    timeout: 60_000,
  })
  return status === 0
}

function tail(text) {
  return text.trimEnd().split('\n').slice(-15).join('\n')
}

function say(message) {
  console.error(`test/packages: ${message}`)
}
