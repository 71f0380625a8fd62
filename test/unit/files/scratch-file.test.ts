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
    assert.throws(
      () => openScratch(directory),
      /is not used, because it still has a name: another user has linked or renamed it/,
    )
    assert.equal(readdirSync(directory).length, 1)
  })

  it('refuses to make a file that belongs to another user', (t) => {
    const directory = scratch(t)
    if (process.geteuid?.() !== 0) return t.skip('only root can act for another user')
    fs.chmodSync(directory, 0o777)
    process.seteuid?.(65534)
    try {
      assert.throws(() => openScratch(directory), /acts for another user: effective uid 65534, real uid 0/)
    } finally {
      process.seteuid?.(0)
    }
    openScratch(directory).close()
  })

  it('refuses a file that others may read, on a file system that another user can have chosen', (t) => {
    const directory = scratch(t)
    if (process.geteuid?.() !== 0) return t.skip('only root can give a directory away')
    const openSync = fs.openSync.bind(fs)
    const mocked = t.mock.method(fs, 'openSync', (path: string, ...rest: [number, number]) => {
      const fd = openSync(path, ...rest)
      if (path.endsWith('.scratch')) fs.fchmodSync(fd, 0o755)
      return fd
    })
    // The twin: where only this user and root can have chosen it, the start names it.
    openScratch(directory).close()
    fs.chownSync(directory, 65534, 65534)
    assert.throws(() => openScratch(directory), /because other users could read it: .* the mode 0755/)
    assert.deepEqual(readdirSync(directory), [])
    mocked.mock.restore()
    openScratch(directory).close()
  })
})
