import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findPackages } from '../../../../src/hooks/redis/packages'

/** Finds what is installed. */
const among =
  (...installed: string[]) =>
  (name: string) =>
    installed.includes(name) ? { name, file: `/modules/${name}` } : undefined

test('the first client that is installed is used, or the one that is named', () => {
  const find = among('rate-limiter-flexible', 'iovalkey', 'redis')
  assert.deepEqual(findPackages(undefined, find), {
    limiter: { name: 'rate-limiter-flexible', file: '/modules/rate-limiter-flexible' },
    client: { name: 'redis', file: '/modules/redis' },
  })
  assert.equal(findPackages('iovalkey', find).client.name, 'iovalkey')
})

test('the error for missing ones has the command that installs them', () => {
  const cases = [
    [among(), undefined, 'rate-limiter-flexible ioredis'],
    [among('rate-limiter-flexible'), undefined, 'ioredis'],
    [among('rate-limiter-flexible', 'ioredis'), 'redis', 'redis'],
    [among('iovalkey'), undefined, 'rate-limiter-flexible'],
  ] as const
  for (const [find, client, install] of cases)
    assert.throws(
      () => findPackages(client, find),
      (error) => error instanceof Error && error.message.endsWith(`. Run: npm install ${install}`),
    )
})

test('a package of another user is not used, and the error names the place', () => {
  const find = (_name: string, refused: string[]) =>
    void refused.push('/tmp/node_modules belongs to another user')
  assert.throws(() => findPackages(undefined, find), /\(\/tmp\/node_modules belongs to another user; /)
})
