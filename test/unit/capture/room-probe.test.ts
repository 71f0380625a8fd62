import assert from 'node:assert/strict'
import os from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createRoomProbe } from '../../../src/capture/room-probe'

describe('room probe', () => {
  it('gives the room of this machine, never more than there is', () => {
    const { availableBytes, limitBytes } = createRoomProbe().memory()
    assert.ok(availableBytes > 0)
    assert.ok(limitBytes > 0 && limitBytes <= os.totalmem())
    assert.ok(availableBytes <= limitBytes)
  })

  it('gives the free space of the file system of a directory', async () => {
    assert.ok((await createRoomProbe().disk(os.tmpdir())).freeBytes > 0)
  })

  it('does not invent any for a directory that is not there', async () => {
    await assert.rejects(createRoomProbe().disk(join(os.tmpdir(), 'cmm-missing', 'x')), {
      code: 'ENOENT',
    })
  })
})
