// Compiles the fork helper, the C addon in this directory, into prebuilds/. src/capture/heap/fork/helper.ts loads it from there.
//
//   node src/native/prebuild.mjs             for this machine, with `cc` (or $CC)
//   node src/native/prebuild.mjs --release   for every target whose compiler is installed; prints the missing compilers
//   node src/native/prebuild.mjs --all       for every target; builds nothing and exits with code 1 if a compiler is missing
//
// Calls the compiler directly instead of node-gyp: the helper needs only the headers of Node-API, which an npm package contains.
// So it builds without Python and without a download, for other processors too.
//
// The build is reproducible: the same sources and compiler give the same bytes in every directory.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import nodeApiHeaders from 'node-api-headers'

const sourceDirectory = dirname(fileURLToPath(import.meta.url))
const rootDirectory = join(sourceDirectory, '..', '..')

/** Version of the oldest glibc on which Node.js 20 runs. A binary that needs a newer glibc would not load there. */
const OLDEST_GLIBC = [2, 28]

/** Platforms to build for, with the compiler as Debian names it and the Debian packages that contain it. */
const TARGETS = [
  { arch: 'x64', libc: 'glibc', compiler: 'x86_64-linux-gnu-gcc', packages: 'gcc' },
  {
    arch: 'arm64',
    libc: 'glibc',
    compiler: 'aarch64-linux-gnu-gcc',
    packages: 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross',
  },
  { arch: 'x64', libc: 'musl', compiler: 'x86_64-linux-musl-gcc', packages: 'musl-tools' },
  {
    arch: 'arm64',
    libc: 'musl',
    compiler: 'aarch64-linux-musl-gcc',
    packages: 'musl-dev:arm64 gcc-aarch64-linux-gnu',
  },
]

const COMPILER_FLAGS = [
  ...['-std=gnu11', '-O2', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'],
  ...['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Wshadow', '-Wstrict-prototypes', '-Werror'],
  // -U first: the compilers of some distributions define _FORTIFY_SOURCE, and -Werror makes a second definition an error.
  ...['-fstack-protector-strong', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'],
  ...[`-ffile-prefix-map=${rootDirectory}=.`, '-isystem', nodeApiHeaders.include_dir],
]
const LINKER_FLAGS = ['-shared', '-s', '-Wl,-z,relro,-z,now,-z,noexecstack', '-Wl,--build-id=none']

function hostTarget() {
  const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
  return { arch: process.arch, libc, compiler: process.env.CC ?? 'cc', packages: 'gcc' }
}

function isInstalled(compiler) {
  return spawnSync(compiler, ['--version']).status === 0
}

function chooseHost() {
  const target = hostTarget()
  if (process.platform !== 'linux')
    throw new Error(`the fork helper can only be built on Linux, and this is ${process.platform}`)
  if (!isInstalled(target.compiler))
    throw new Error(`the compiler ${target.compiler} is not installed (set CC to use another)`)
  return [target]
}

function compile({ arch, libc, compiler }) {
  const directory = join(rootDirectory, 'prebuilds', `linux-${arch}`)
  const output = join(directory, `fork-helper.napi.${libc}.node`)
  const sources = readdirSync(sourceDirectory)
    .filter((name) => name.endsWith('.c'))
    .sort()
  mkdirSync(directory, { recursive: true })
  execFileSync(compiler, [...COMPILER_FLAGS, ...sources, ...LINKER_FLAGS, '-o', output], {
    cwd: sourceDirectory,
    stdio: 'inherit',
  })
  refuseNewerGlibc(output)
  console.log(`built ${relative(rootDirectory, output)} with ${compiler}`)
}

/** Throws if a binary needs a newer glibc than OLDEST_GLIBC. Binaries name the symbol versions that they need in plain text. */
function refuseNewerGlibc(file) {
  const newer = [...readFileSync(file, 'latin1').matchAll(/GLIBC_(\d+)\.(\d+)/g)].filter(
    ([, major, minor]) => Number(major) > OLDEST_GLIBC[0] || Number(minor) > OLDEST_GLIBC[1],
  )
  if (newer.length > 0) {
    throw new Error(
      `${file} needs ${newer.map(([name]) => name).join(', ')}, but must load with glibc ${OLDEST_GLIBC.join('.')}`,
    )
  }
}

/** Replaces a missing compiler by `cc` (or $CC) if the target is this machine. For another target it stays missing. */
function withCompiler(target) {
  const host = hostTarget()
  const isHost = target.arch === host.arch && target.libc === host.libc
  return isHost && !isInstalled(target.compiler) ? { ...target, compiler: host.compiler } : target
}

function chooseTargets(option) {
  if (option === undefined) return chooseHost()
  const targets = TARGETS.map(withCompiler)
  const missing = targets.filter(({ compiler }) => !isInstalled(compiler))
  for (const { arch, libc, compiler, packages } of missing) {
    console.error(
      `not built: linux-${arch} ${libc}, because ${compiler} is not installed (Debian packages: ${packages})`,
    )
  }
  if (option === '--all' && missing.length > 0) process.exit(1)
  return targets.filter((target) => !missing.includes(target))
}

for (const target of chooseTargets(process.argv[2])) compile(target)
