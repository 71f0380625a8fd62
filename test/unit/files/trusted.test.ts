import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { readTrusted } from '../../../src/files/trusted'
import { tmpfs } from './scratch'

const STRANGER = 12_345
const asRoot = { skip: process.getuid?.() !== 0 && 'gives files to another user' }

function scene(t: TestContext): { top: string; file: string; text: () => string } {
  const top = mkdtempSync(join(tmpdir(), 'trusted-'))
  t.after(() => rmSync(top, { recursive: true, force: true }))
  const file = join(top, 'monitor.json')
  writeFileSync(file, 'the text', { mode: 0o644 })
  return { top, file, text: () => readTrusted(file, 1000) }
}

describe('a file that others may not have written', () => {
  it('is read, whoever may read it', (t) => {
    const { file, text } = scene(t)
    for (const mode of [0o600, 0o644, 0o444]) {
      chmodSync(file, mode)
      assert.equal(text(), 'the text')
    }
  })

  it('is read through own links of files and directories, as a volume of Kubernetes has them', (t) => {
    const { top, file, text } = scene(t)
    mkdirSync(join(top, '..2026'))
    writeFileSync(join(top, '..2026/monitor.json'), 'of the volume')
    symlinkSync('..2026', join(top, '..data'))
    unlinkSync(file)
    symlinkSync('..data/monitor.json', file)
    assert.equal(text(), 'of the volume')
    unlinkSync(file)
    symlinkSync('..data/../..data/monitor.json', file)
    assert.equal(text(), 'of the volume')
    unlinkSync(file)
    symlinkSync(file, file)
    assert.throws(text, /ELOOP|symbolic links/)
  })

  it('is not read when others can write it', (t) => {
    const { file, text } = scene(t)
    chmodSync(file, 0o1666)
    assert.throws(text, /it is writable for all users; it must belong to root or the user of the process/)
  })

  it('is no directory and no more than its limit', (t) => {
    const { top, file } = scene(t)
    assert.throws(() => readTrusted(top, 1000), /no regular file|EISDIR/)
    assert.throws(() => readTrusted(file, 7), /larger than 7 bytes/)
    assert.throws(() => readTrusted(join(top, 'none'), 7), { code: 'ENOENT' })
  })

  it('is not that of another user, nor of a group that is not the own', asRoot, (t) => {
    const { file, text } = scene(t)
    chownSync(file, 0, STRANGER)
    assert.equal(text(), 'the text')
    chmodSync(file, 0o664)
    assert.throws(text, new RegExp(`writable for the group ${STRANGER}`))
    chownSync(file, STRANGER, STRANGER)
    chmodSync(file, 0o600)
    assert.throws(text, new RegExp(`it belongs to the user ${STRANGER}`))
  })

  it('is not reached by a link of another user', asRoot, (t) => {
    const { top, file } = scene(t)
    for (const [target, path] of [
      [file, join(top, 'link.json')],
      [top, join(top, 'directory')],
    ] as const) {
      symlinkSync(target, path)
      const reached = target === top ? join(path, 'monitor.json') : path
      assert.equal(readTrusted(reached, 1000), 'the text')
      lchownSync(path, STRANGER, STRANGER)
      assert.throws(() => readTrusted(reached, 1000), /symbolic link of another user/)
    }
  })

  it('is not reached by a link that others can exchange, unless nobody can write there', asRoot, (t) => {
    const disk = tmpfs(t, 1024 * 1024)
    if (!disk) return
    mkdirSync(join(disk.path, '..2026'))
    writeFileSync(join(disk.path, '..2026/monitor.json'), 'of the volume')
    symlinkSync('..2026', join(disk.path, '..data'))
    symlinkSync('..data/monitor.json', join(disk.path, 'monitor.json'))
    // So Kubernetes makes the directory of a ConfigMap, which it mounts read-only.
    chmodSync(disk.path, 0o777)
    for (const path of ['monitor.json', '..data/monitor.json']) {
      const read = (): string => readTrusted(join(disk.path, path), 1000)
      assert.throws(read, /a symbolic link that other users can replace: .*is writable for all users/)
      const uncover = disk.coverReadOnly()
      assert.equal(read(), 'of the volume')
      uncover()
    }
  })
})
