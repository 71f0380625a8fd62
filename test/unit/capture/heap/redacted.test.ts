import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openWhole } from '../../../../src/capture/heap/redacted'
import { openArtefact } from '../../../../src/files/artefact'
import { openMarked } from '../../../../src/files/disk'
import { about, HOW, scratch, tmpfs } from '../../files/scratch'

const NAME = 'memory-7-1000.heapsnapshot'

/** A snapshot of a process of its own, with this text in it. */
function snapshotOfAnother(directory: string): Buffer {
  const file = join(directory, 'other')
  const program = `globalThis.note = 'pin of ' + 'a customer'; v8.writeHeapSnapshot(${JSON.stringify(file)})`
  execFileSync(process.execPath, ['-e', program], { env: { ...process.env, NODE_V8_COVERAGE: '' } })
  return readFileSync(file)
}

test('the whole snapshot has no name, and the redacted one gets the name of the artefact', async (t) => {
  const directory = scratch(t)
  const content = snapshotOfAnother(scratch(t))
  const open = openArtefact(directory, NAME, about(directory))
  const before = readdirSync(directory)
  const whole = openWhole(open)
  const fd = openMarked(whole.target)
  writeFileSync(fd, content)
  closeSync(fd)
  assert.deepEqual(readdirSync(directory), before)
  whole.redact()
  whole.close()
  const { file } = await open.publish(HOW)
  const written = readFileSync(file)
  assert.ok(content.includes('"note"') && written.includes('"note"'))
  assert.deepEqual([content.includes('pin of '), written.includes('pin of ')], [true, false])
})

test('a file that has taken its number is not written to', (t) => {
  const directory = scratch(t)
  const open = openArtefact(directory, NAME, about(directory))
  const whole = openWhole(open)
  const others = [openSync(join(directory, 'other'), 'w+')]
  whole.close()
  while (!whole.target.file.endsWith(`/${others.at(-1)}`))
    others.push(openSync(join(directory, 'other'), 'r+'))
  assert.throws(() => openMarked(whole.target), /is no longer the file that was created there/)
  for (const fd of others) closeSync(fd)
  open.abandon()
})

test('a full disk leaves nothing', (t) => {
  const content = snapshotOfAnother(scratch(t))
  const disk = tmpfs(t, Math.round(content.length * 1.5))
  if (disk === undefined) return
  const open = openArtefact(disk.path, NAME, about(disk.path))
  const whole = openWhole(open)
  const fd = openMarked(whole.target)
  writeFileSync(fd, content)
  closeSync(fd)
  assert.throws(() => whole.redact(), { code: 'ENOSPC' })
  whole.close()
  open.abandon()
  assert.deepEqual(readdirSync(disk.path), [])
})
