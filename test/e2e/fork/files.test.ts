import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startApp } from '../monitor/app'
import { whyNoHelper } from './native/forking-server'

/** Since 22.5, and without a flag since 22.13. */
const hasDatabase = process.getBuiltinModule?.('node:sqlite') !== undefined
const skip = hasDatabase ? whyNoHelper() : `Node ${process.version} has no node:sqlite`

/** A young generation that does not fill in the program's short life: else its own collection may close what the child has to find. */
const withoutCollections = ['--min-semi-space-size=64', '--max-semi-space-size=64']

test(
  'a database that the application has forgotten is closed in the child without harm to those who use it',
  { skip },
  async (t) => {
    const app = startApp(
      t,
      'forgets-a-database.js',
      { memory: { threshold: '20gb' } },
      { takesOrders: false, execArgv: withoutCollections },
    )
    assert.deepEqual(await app.until('database'), { way: 'fork', isThere: true, hasLog: true, rows: 101 })
  },
)

test(
  'a database that was forgotten amid a transaction keeps its journal, for whoever has to undo it',
  { skip },
  async (t) => {
    const app = startApp(
      t,
      'forgets-a-transaction.js',
      { memory: { threshold: '20gb' } },
      { takesOrders: false, execArgv: withoutCollections },
    )
    const found = { way: 'fork', isThere: true, isThereStill: true, hadJournal: true, hasJournal: true }
    assert.deepEqual(await app.until('database'), found)
  },
)
