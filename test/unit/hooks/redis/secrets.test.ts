import assert from 'node:assert/strict'
import { test } from 'node:test'
import { secretsOf, withoutSecrets } from '../../../../src/hooks/redis/secrets'

const told = (url: string, text: string) => withoutSecrets(text, secretsOf(url))

test('a server that repeats user and password is shown without them, however they are written', () => {
  const url = 'rediss://ad%40min:p%2Fss:w%C3%B6rd-long@redis:6380/0'
  for (const [repeated, left] of [
    ['ERR no AUTH ad@min p/ss:wörd-long', 'ERR no AUTH *** ***'],
    ['ERR no AUTH ad%40min p%2Fss:w%C3%B6rd-long', 'ERR no AUTH *** ***'],
    ['ERR no `p/ss:wörd-long`, `p/ss:wörd-long`', 'ERR no `***`, `***`'],
    // Cut where it is long.
    ['ERR no AUTH ad@min p/ss:wörd-l', 'ERR no AUTH *** ***'],
    [
      'cannot open rediss://ad%40min:p%2Fss:w%C3%B6rd-long@redis:6380/0',
      'cannot open rediss://***:***@redis:6380/0',
    ],
  ] as const)
    assert.equal(told(url, repeated), left)
  assert.equal(told('redis://:pw@redis', "ERR 'AUTH' 'pw'"), "ERR 'AUTH' '***'")
  assert.equal(told('redis://redis?password=hidden%2B1', 'ERR hidden+1 hidden%2B1'), 'ERR *** ***')
  assert.equal(told('redis://u:100%@redis', 'ERR 100%'), 'ERR ***')
})

test('the arguments of an unknown command are left out', () => {
  const text = 'ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `u`, `s3c'
  assert.equal(told('redis://u1:s3cret@redis', text), 'ERR unknown command `HELLO`')
  assert.equal(told('redis://redis', text), 'ERR unknown command `HELLO`')
})

test('other texts stay as they are', () => {
  for (const url of ['redis://redis:6379/0?family=4', 'redis://user:password-of-it@redis'])
    for (const text of ['connect ECONNREFUSED 127.0.0.1:6379', 'NOAUTH Authentication required.', ''])
      assert.equal(told(url, text), text)
})
