import assert from 'node:assert/strict'
import type { Address } from 'node:cluster'
import { test } from 'node:test'
import { addressInWords, isAt } from '../../dist/cluster/address.js'

const words = (addressType: unknown, address: string | null, port: number) =>
  addressInWords({ addressType, address, port } as Address)

test('an address says what it is, and where it is known', () => {
  assert.equal(words(4, null, 8080), '*:8080')
  assert.equal(words(4, '127.0.0.1', 8080), '127.0.0.1:8080')
  assert.equal(words(6, '::1', 8080), '[::1]:8080')
  assert.equal(words(-1, '/run/app.sock', -1), '/run/app.sock')
  assert.equal(words('udp4', null, 53), 'udp4 *:53')
})

test('a port is that of TCP servers, whole; a path is that of a socket file', () => {
  assert.ok(isAt('*:80', 80))
  assert.ok(isAt('[::1]:80', 80))
  assert.ok(isAt('/run/app.sock', '/run/app.sock'))
  assert.ok(!isAt('*:8080', 80))
  assert.ok(!isAt('udp4 *:53', 53))
  assert.ok(!isAt('/run/app.sock', '/run/ap'))
})
