import assert from 'node:assert/strict'
import fs, { readdirSync, writeSync } from 'node:fs'
import { describe, it } from 'node:test'
import { openScratch } from '../../../src/files/scratch'
import { scratch } from './scratch'

describe('openScratch', () => {
  it('opens a file without a name', (t) => {
    const directory = scratch(t)
    const opened = openScratch(directory)
    writeSync(opened.fd, 'secret')
    assert.deepEqual(readdirSync(directory), [])
    opened.close()
    opened.close()
  })

  it('refuses a file that another user has renamed before its name was taken away', (t) => {
    const directory = scratch(t)
    const unlinkSync = fs.unlinkSync.bind(fs)
    t.mock.method(fs, 'unlinkSync', (path: string) => {
      fs.renameSync(path, `${path}-kept`)
      unlinkSync(path)
    })
    assert.throws(() => openScratch(directory), /a name that another user gave it/)
    assert.equal(readdirSync(directory).length, 1)
  })
})
