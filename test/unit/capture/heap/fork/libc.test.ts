import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readLibc } from '../../../../../src/capture/heap/fork/helper.js'
import { scratch } from '../../../../harness/program'

const isCi = process.env.CI === 'true'

test('of this Node it is the one that its report names', () => {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  const libc = header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
  assert.equal(readLibc(), libc)
  assert.equal(readLibc(process.execPath), libc)
})

for (const [compiler, libc] of [
  ['x86_64-linux-musl-gcc', 'musl'],
  ['aarch64-linux-musl-gcc', 'musl'],
  ['x86_64-linux-gnu-gcc', 'glibc'],
  ['aarch64-linux-gnu-gcc', 'glibc'],
] as const) {
  const isMissing = !isCi && spawnSync(compiler, ['--version']).status !== 0
  test(`of a program by ${compiler} it is ${libc}`, { skip: isMissing && `no ${compiler}` }, (t) => {
    assert.equal(readLibc(compiled(t, compiler)), libc)
  })
}

test('what cannot be read is an error', () => {
  assert.throws(() => readLibc('/nowhere/node'), { code: 'ENOENT' })
})

test('of a loader itself it is the one that the loader belongs to', (t) => {
  const loader = '/proc/self/exe'
  const dynamic = '/lib64/ld-linux-x86-64.so.2'
  if (!existsSync(dynamic)) return t.skip(`no ${dynamic}`)
  const file = join(__dirname, '../../../../../dist/capture/heap/fork/helper.js')
  const program = `console.log(require(${JSON.stringify(file)}).readLibc('${loader}'))`
  assert.equal(execFileSync(dynamic, [process.execPath, '-e', program], { encoding: 'utf8' }), 'glibc\n')
})

function compiled(t: TestContext, compiler: string): string {
  const directory = scratch(t)
  writeFileSync(join(directory, 'empty.c'), 'int main(void) { return 0; }\n')
  execFileSync(compiler, ['empty.c', '-o', 'empty'], { cwd: directory })
  return join(directory, 'empty')
}
