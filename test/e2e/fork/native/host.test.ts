import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { scratch } from '../../../harness/program'

const SOURCES = path.join(__dirname, '../../../../src/native')
const HOST = path.join(__dirname, 'programs/host.c')
const PARTS = ['mappings.c', 'fork.c', 'child.c', 'lone-thread.c', 'relocations.c'].map((name) =>
  path.join(SOURCES, name),
)
const run = promisify(execFile)

interface Target {
  readonly name: string
  readonly compiler: string
  readonly flags: readonly string[]
  /** What runs the binary, if this processor does not. */
  readonly emulator: readonly string[]
}

/** What this machine may be able to build and run. The undefined is looked for where the sanitizers are. */
const TARGETS: readonly Target[] = [
  { name: 'glibc', compiler: process.env.CC ?? 'cc', flags: [], emulator: [] },
  {
    name: 'sanitizers',
    compiler: 'gcc',
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover'],
    emulator: [],
  },
  { name: 'x64 musl', compiler: 'x86_64-linux-musl-gcc', flags: [], emulator: [] },
  {
    name: 'arm64 glibc',
    compiler: 'aarch64-linux-gnu-gcc',
    flags: [],
    emulator: [
      'qemu-aarch64',
      ...(existsSync('/lib/ld-linux-aarch64.so.1') ? [] : ['-L', '/usr/aarch64-linux-gnu']),
    ],
  },
  { name: 'arm64 musl', compiler: 'aarch64-linux-musl-gcc', flags: [], emulator: ['qemu-aarch64'] },
]

function whyNot({ compiler, emulator }: Target): string | false {
  if (process.platform !== 'linux') return `needs Linux, this is ${process.platform}`
  const missing = [compiler, ...emulator.slice(0, 1)].filter(
    (tool) => spawnSync(tool, ['--version']).status !== 0,
  )
  return missing.length > 0 ? `not installed: ${missing.join(', ')}` : false
}

for (const target of TARGETS) {
  const { name, compiler, flags, emulator } = target
  const options = { skip: whyNot(target), timeout: 60_000 }
  test(
    `memory comes along, locks are free, waits end, marks come back: ${name}`,
    options,
    async (context) => {
      const directory = scratch(context)
      const common = [
        '-std=gnu11',
        '-g',
        '-O1',
        '-Wall',
        '-Wextra',
        '-Werror',
        '-pthread',
        ...flags,
        '-I',
        SOURCES,
      ]
      await run(compiler, [
        ...common,
        '-fPIC',
        '-shared',
        ...PARTS,
        '-o',
        path.join(directory, 'libforkhelper.so'),
      ])
      const host = path.join(directory, 'host')
      await run(compiler, [
        ...common,
        HOST,
        '-o',
        host,
        '-L',
        directory,
        '-lforkhelper',
        '-Wl,-rpath,$ORIGIN',
      ])
      const command: readonly string[] = [...emulator, host, '2']
      const { stdout, stderr } = await run(command[0] as string, command.slice(1))
      assert.match(stdout, /^2 rounds/)
      assert.equal(stderr, '')
      if (emulator.length === 0) assert.doesNotMatch(stdout, /marks ignored|nothing copied/)
    },
  )
}
