import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { loadForkHelper } from '../../dist/capture/fork-helper.js'
import { whyNoHelper } from '../native/forking-server'

const MODULE = path.join(__dirname, '..', '..', 'dist', 'capture', 'fork-helper.js')

/** What the loader says in a fresh process. */
function load(nodeOptions: readonly string[], environment: NodeJS.ProcessEnv = {}): string {
  const program = `
    const loaded = require(${JSON.stringify(MODULE)}).loadForkHelper()
    console.log('helper' in loaded ? Object.keys(loaded.helper).join(' ') : loaded.unavailable)`
  const env = { ...process.env, ...environment }
  return execFileSync(process.execPath, [...nodeOptions, '-e', program], { env, encoding: 'utf8' }).trim()
}

test('the helper is there where it was built', { skip: whyNoHelper() }, () => {
  assert.equal(load([]), 'survey fork wait exitCodes')
  assert.ok('helper' in loadForkHelper())
})

test('where addons are forbidden it is unavailable, and says why in one line', () => {
  assert.match(load(['--no-addons']), /^Cannot load native addon.*$/)
})

test('for a processor without a binary it is unavailable, and says for which', () => {
  assert.match(
    load([], { npm_config_arch: 's390x' }),
    /^No native build was found for platform=linux arch=s390x .*$/,
  )
})
