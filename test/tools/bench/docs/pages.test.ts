import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { PAGES, updated } from './pages'

const repository = `${__dirname}/../../../..`

describe('figures of the benchmarks', () => {
  for (const page of PAGES) {
    it(`in ${page} are those of test/tools/bench/results; \`npm run bench -- docs\` writes them`, () => {
      const text = readFileSync(`${repository}/${page}`, 'utf8')
      assert.equal(text, updated(page, text))
    })
  }

  it('replace others, and are missed where they are gone', () => {
    const text = readFileSync(`${repository}/README.md`, 'utf8')
    const wrong = text.replace(/Watching takes [\d.]+ %/, 'Watching takes 7 %')
    assert.notEqual(wrong, text)
    assert.equal(updated('README.md', wrong), text)
    assert.throws(() => updated('README.md', text.replace('Watching takes', 'It takes')), /has nothing like/)
  })
})
