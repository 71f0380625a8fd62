import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

const logger = JSON.stringify(join(__dirname, '../../../dist/report/listeners.js'))
const said = (script: string) =>
  spawnSync(process.execPath, ['-e', `const logger = require(${logger}).stderrLogger();${script}`], {
    encoding: 'utf8',
    timeout: 20_000,
  })

test('each level is one line on stderr, and nothing on stdout', () => {
  const { stdout, stderr, status } = said("logger.info('one'); logger.warn('two'); logger.error('three')")
  const lines = ['one', 'two', 'three'].map((line) => `cpu-memory-monitor: ${line}\n`)
  assert.deepEqual([stdout, stderr, status], ['', lines.join(''), 0])
})

test('a stderr that is closed throws nothing', () => {
  const { stdout, status } = said("require('fs').closeSync(2); logger.warn('one'); console.log('alive')")
  assert.deepEqual([stdout, status], ['alive\n', 0])
})
