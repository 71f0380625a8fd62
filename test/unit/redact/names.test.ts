import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  isFixedName,
  isGlobalName,
  isPrototypeName,
  isSymbolName,
  looksWritten,
  withoutContent,
} from '../../../src/redact/names'

describe('a name in a snapshot', () => {
  it('of a property stays when a programmer could have written it', () => {
    for (const name of [
      'orders',
      '_cache',
      '$el',
      '#pin',
      'utf8',
      'content-type',
      'get size',
      'größe',
      '<symbol node.inspect>',
      'id12345',
      'x'.repeat(80),
    ])
      assert.ok(looksWritten(name), name)
  })

  it('of a property goes when it looks like data', () => {
    for (const name of [
      ...['ann@shop.example', '4111111111111111', '2026-11-27', 'a b', '/etc/passwd', 'db.internal', ''],
      ...['550e8400-e29b-41d4-a716-446655440000', 'x'.repeat(81), '<symbol ann@shop.example>', 'id123456'],
      ...['a get b', 'x <symbol a>', '<symbol a> x', 'forget me'],
    ])
      assert.ok(!looksWritten(name), name)
  })

  it('stays without what V8 and browsers composed into it', () => {
    const pair = (key: string, value: string) =>
      `3 / part of key (${key} @5) -> value (${value} @7) pair in WeakMap (table @9)`
    assert.equal(withoutContent(pair('Object', 'secret) @1')), pair('redacted', 'redacted'))
    assert.equal(withoutContent('3 / part of key (cut off sec'), '3 / part of key (redacted)')
    assert.equal(withoutContent('data:text/javascript,secret'), 'data:(redacted)')
    assert.equal(withoutContent('https://shop.example/a.js?token=secret'), 'https://shop.example/a.js')
    assert.equal(
      withoutContent('https://ann:secret@shop.example/a.js'),
      'https://(redacted)@shop.example/a.js',
    )
    assert.equal(withoutContent(' data:text/javascript,secret'), 'data:(redacted)')
    assert.equal(withoutContent('<div id="secret">'), '<div>')
  })

  it('stays without what follows a composed part, before it, and in a pair with two digits', () => {
    const pair = '12 / part of key (a @34) -> value (b @56) pair in WeakMap (table @78)'
    assert.equal(
      withoutContent(pair),
      '12 / part of key (redacted @34) -> value (redacted @56) pair in WeakMap (table @78)',
    )
    assert.equal(withoutContent(`${pair} secret`), '12 / part of key (redacted)')
    assert.equal(withoutContent(`secret ${pair}`), ' / part of key (redacted)')
    assert.equal(withoutContent('12 / part of key (a'), '12 / part of key (redacted)')
    assert.equal(withoutContent('https://shop.example/a.js#secret\nsecret'), 'https://shop.example/a.js')
  })

  it('stays as it is otherwise', () => {
    for (const name of [
      'Object',
      'system / Map',
      '<symbol kHandle of x>',
      'file:///app/shop.js',
      '/app/shop.js',
      '1 / CallProxy',
      'metadata: x',
      'a <b c',
      '<div>',
      'what?',
      'webpack://@shop/cart/a.js',
      'file:///app/node_modules/@shop/cart@1/a.js',
    ])
      assert.equal(withoutContent(name), name)
  })

  it('is cleaned in linear time, however often the parts of a composed one are repeated', () => {
    const parts = '1 / part of key (' + ' @1) -> value ('.repeat(100_000)
    assert.equal(withoutContent(parts), '1 / part of key (redacted)')
  })

  it('of the global object is known on every Node, and that of no other', () => {
    for (const name of ['global', 'global (global)', 'Object / global', 'Window / https://x'])
      assert.ok(isGlobalName(name), name)
    for (const name of ['Object', 'globalAgent', 'Windows', 'my global', 'the Window (1)'])
      assert.ok(!isGlobalName(name), name)
  })

  it('of a value is fixed, a symbol or a prototype only when it is exactly that', () => {
    for (const name of ['symbol', 'bigint', 'heap number', 'number', 'smi number', 'int', 'double'])
      assert.ok(isFixedName(name), name)
    for (const kind of ['concatenated', 'sliced'])
      for (const name of [`(${kind} string)`, `${kind} string`]) assert.ok(isFixedName(name), name)
    for (const name of ['', 'string', 'a number']) assert.ok(!isFixedName(name), name)
    assert.ok(isSymbolName('<symbol node.inspect>'))
    for (const name of ['symbol', '<symbol a', 'x <symbol a>', '<symbol a> x'])
      assert.ok(!isSymbolName(name), name)
    assert.ok(isPrototypeName('__proto__'))
    for (const name of ['', 'proto', '__proto__ ']) assert.ok(!isPrototypeName(name), name)
  })
})
