import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endsItsChildren } from '../../../../../src/capture/heap/limit/ends-children'

test('PID 1 takes its children along, anywhere', () => {
  assert.equal(endsItsChildren(1, false, []), true)
})

test('so does a process below nothing but programs that wait for it', () => {
  const shell = { name: 'sh', children: 1 }
  assert.equal(endsItsChildren(7, false, [shell]), true)
  assert.equal(endsItsChildren(19, false, [shell, { name: 'npm start', children: 1 }]), true)
  assert.equal(endsItsChildren(7, false, [{ name: 'sh', children: undefined }]), true)
})

test('so does the child of an init of containers, which adopts orphans', () => {
  for (const name of ['tini', 'docker-init', 'dumb-init', 'catatonit', 'podman-init'])
    assert.equal(endsItsChildren(7, false, [{ name, children: 3 }]), true, name)
})

test('not one of several below a supervisor, one that was started from outside, or one of the machine itself', () => {
  const [shell, supervisor] = [
    { name: 'sh', children: 1 },
    { name: 'supervisord', children: 2 },
  ]
  assert.equal(endsItsChildren(7, false, [supervisor]), false)
  assert.equal(endsItsChildren(19, false, [shell, supervisor]), false)
  assert.equal(endsItsChildren(7, false, undefined), false)
  assert.equal(endsItsChildren(7, true, [{ name: 'tini', children: 1 }]), false)
})
