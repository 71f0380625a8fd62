import assert from 'node:assert/strict'
import { it } from 'node:test'
import { formatTable } from './table'

it('aligns the columns, and says why a row has no figures', () => {
  const outcome = {
    sent: 12345,
    failed: 1,
    why: { 'status 503': 1 },
    replaced: 10,
    leastAccepting: 0,
    msBelow: 12.4,
    mostLive: 4,
  }
  const rows = [
    { variant: 'a', profile: 'fast', outcome },
    { variant: 'longer name', profile: 'mix', outcome: { ...outcome, sent: 1, failed: 0, why: {} } },
    { variant: 'absent', profile: 'mix', outcome: { reason: 'not installed: no such package anywhere' } },
  ]
  assert.deepEqual(formatTable(rows).split('\n'), [
    'variant      profile   sent  failed  replaced  min accepting  ms below  most live  how they failed',
    'a            fast     12345       1        10              0        12          4  1 status 503',
    'longer name  mix          1       0        10              0        12          4  -',
    'absent       mix      not installed: no such package anywhere',
  ])
})
