import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { loadOwnPidusage } from '../../dist/sample/own-pidusage.js'
import { fixture } from './run-fixture.js'

const load = (name: string) => loadOwnPidusage(join(fixture('packages'), name, 'index.js'))
const openDescriptors = () => readdirSync('/proc/self/fd').length

test('the package as installed: CPU time in ms, memory in pages', () => {
  const own = loadOwnPidusage()([process.pid]).get(process.pid)
  const { user, system } = process.cpuUsage()
  assert.ok(Math.abs((own?.cpuMs ?? 0) - (user + system) / 1000) <= 100, `${own?.cpuMs} ms`)
  assert.ok(
    (own?.residentPages ?? 0) > 100 && (own?.residentPages ?? 0) < 1_000_000,
    `${own?.residentPages} pages`,
  )
})

test('the instance that require gives is not loaded by it', () => {
  loadOwnPidusage()
  assert.deepEqual(
    Object.keys(require.cache).filter((file) => file.includes('pidusage/')),
    [],
  )
})

test('a package that wants more than it is given is refused by name', () => {
  assert.throws(() => load('wants-net'), /wants-net wants 'net', which it is not given/)
})

test('a package that does not answer at once is refused', () => {
  assert.throws(() => load('answers-later')([process.pid]), /did not answer at once/)
})

test('what a package leaves open is closed; options are given, whatever the environment says', () => {
  const read = load('leaks')
  const before = openDescriptors()
  const own = read([process.pid, process.ppid]).get(process.pid)
  assert.equal(openDescriptors(), before)
  assert.deepEqual(own, { cpuMs: 100, residentPages: 86_400_000 })
})

test('a reading that is no number is an error, never NaN', () => {
  assert.throws(() => load('torn')([process.pid]), /stat cannot be understood/)
})
