import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Episode } from '../../../src/dispatch/episode'

test('ends after counter calm readings in a row', () => {
  const episode = new Episode(2)
  episode.begin()
  assert.equal(episode.observe(false), false)
  assert.equal(episode.observe(false), true)
  assert.equal(episode.observe(false), false, 'it has ended already')
})

test('does not end when a breach breaks the row of calm readings', () => {
  const episode = new Episode(2)
  episode.begin()
  for (const isBreach of [false, true, false, true]) assert.equal(episode.observe(isBreach), false)
})

test('does not end when it never began', () => {
  const episode = new Episode(1)
  assert.equal(episode.observe(false), false)
})

test('does not end over a gap of readings that were thrown away', () => {
  const episode = new Episode(2)
  episode.begin()
  episode.observe(false)
  episode.interrupt()
  assert.equal(episode.observe(false), false)
})

test('tells each reason once per episode, and again in the next', () => {
  const episode = new Episode(1)
  episode.begin()
  assert.equal(episode.isNews('limited'), true)
  assert.equal(episode.isNews('limited'), false)
  assert.equal(episode.isNews('disk'), true)
  episode.observe(false)
  episode.begin()
  assert.equal(episode.isNews('limited'), true)
})
