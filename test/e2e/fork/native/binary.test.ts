import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'

const isCi = process.env.CI === 'true'
const repository = join(__dirname, '../../../..')
const prebuilds = join(repository, 'prebuilds')

/** Why a program that a test needs is not used, or `false`. In CI the test runs, and fails without it. */
function without(program: string): string | false {
  return !isCi && spawnSync(program, ['--version']).status !== 0 && `no ${program}`
}

const binaries = existsSync(prebuilds) ? namesOf(prebuilds) : []

test(
  'there are binaries to look at',
  { skip: binaries.length === 0 && !isCi && 'no fork helper was built' },
  () => {
    assert.ok(binaries.length > 0)
  },
)

for (const binary of binaries) {
  describe(`the binary ${binary}`, { skip: without('readelf') }, () => {
    const read = (...args: string[]): string =>
      execFileSync('readelf', ['-W', ...args, join(prebuilds, binary)], { encoding: 'utf8' })
    const symbols = () =>
      read('--dyn-syms')
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .map(([, , , , binding, , section, name = '']) => ({
          binding,
          section,
          name: name.replace(/@.*/, ''),
        }))

    test('checks its stack, and with glibc the sizes of buffers', () => {
      const names = symbols().map(({ name }) => name)
      assert.ok(names.includes('__stack_chk_fail'), 'lost: -fstack-protector-strong')
      // musl has no checking variants.
      if (binary.includes('glibc')) assert.ok(names.includes('__snprintf_chk'), 'lost: -D_FORTIFY_SOURCE=2')
    })

    test('has no stack that can be executed, and no page that is both written and executed', () => {
      const segments = read('--program-headers')
      assert.match(segments, /GNU_STACK .* RW +0x/)
      assert.doesNotMatch(segments, / [RW ]WE +0x/)
    })

    test('has its relocations bound at load and then read-only', () => {
      assert.match(read('--program-headers'), /GNU_RELRO/)
      assert.match(read('--dynamic'), /\(FLAGS\) +BIND_NOW/)
    })

    test('names no directories to search for libraries, and relocates no code', () => {
      assert.doesNotMatch(read('--dynamic'), /RPATH|RUNPATH|TEXTREL/)
    })

    test('exports what Node-API calls, and nothing else', () => {
      const exported = symbols().filter(
        ({ binding, section, name }) =>
          ['GLOBAL', 'WEAK'].includes(binding ?? '') && section !== 'UND' && name,
      )
      assert.deepEqual(
        exported
          .map(({ name }) => name)
          .filter((name) => !/^_(init|fini)$/.test(name))
          .sort(),
        ['napi_register_module_v1', 'node_api_module_get_api_version_v1'],
      )
    })

    test('contains no path of the machine that built it, and no build id', () => {
      const bytes = readFileSync(join(prebuilds, binary), 'latin1')
      assert.ok(!bytes.includes(repository))
      assert.doesNotMatch(bytes, /fork-helper\.h|\.c\0|node-api-headers/)
      assert.doesNotMatch(read('--notes'), /Build ID/)
    })
  })
}

test(
  'two clones in different directories build the same bytes, for each target that has a compiler',
  { skip: without(process.env.CC ?? 'cc') },
  (t) => {
    const built = build(t, 'one')
    assert.deepEqual(build(t, 'another/and-a-longer-path'), built)
    assert.ok(built.size > 0)
    // Elsewhere they may be from an earlier state of the sources.
    if (!isCi) return
    assert.deepEqual([...built.keys()].sort(), [...binaries].sort())
    for (const [binary, hash] of built) assert.equal(sha256(join(prebuilds, binary)), hash, binary)
  },
)

/** Builds the binaries in a clone of the sources: the SHA-256 of each. */
function build(t: TestContext, name: string): Map<string, string> {
  const directory = mkdtempSync(join(tmpdir(), 'clone-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const clone = join(directory, name)
  mkdirSync(clone, { recursive: true })
  cpSync(join(repository, 'src/native'), join(clone, 'src/native'), { recursive: true })
  symlinkSync(join(repository, 'node_modules'), join(clone, 'node_modules'))
  execFileSync(process.execPath, [join(clone, 'src/native/prebuild.mjs'), '--release'], { stdio: 'pipe' })
  const folder = join(clone, 'prebuilds')
  return new Map(namesOf(folder).map((binary) => [binary, sha256(join(folder, binary))]))
}

/** Each binary below the folder, as `linux-x64/fork-helper.napi.glibc.node`. */
function namesOf(folder: string): string[] {
  return readdirSync(folder).flatMap((target) =>
    readdirSync(join(folder, target)).map((file) => join(target, file)),
  )
}

function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}
