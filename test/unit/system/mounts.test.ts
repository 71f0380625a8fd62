import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Mounts, readMountinfo } from '../../../src/system/mounts'

/** A directory with a file `here/x`, and the file systems of these types at these names in it. */
function folderWith(t: TestContext, types: Readonly<Record<string, string>>, chosen: readonly string[] = []) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'mounts-')))
  t.after(() => rmSync(folder, { recursive: true }))
  const at = (name: string): string => join(folder, name)
  mkdirSync(at('here'))
  writeFileSync(at('here/x'), '')
  const lines = Object.entries(types).map(
    ([name, type], id) =>
      `${id} 0 0:${id} / ${name === '/' ? '/' : at(name).replaceAll(' ', '\\040')} rw shared:1 - ${type} source rw`,
  )
  for (const name of Object.keys(types)) mkdirSync(at(name), { recursive: true })
  return { at, mounts: new Mounts(lines.join('\n'), chosen.map(at)) }
}

for (const type of ['autofs', 'afs', 'nfs', 'nfs4', 'cifs', 'smb3', '9p', 'ceph', 'fuse', 'fuse.sshfs'])
  test(`a path does not lead onto ${type}, whatever is there`, (t) => {
    const { at, mounts } = folderWith(t, { '/': 'ext4', 'far away': type })
    const mount = { path: at('far away'), type }
    symlinkSync('../far away/x', at('here/link'))
    symlinkSync(at('here/link'), at('here/link-to-link'))
    for (const name of ['far away/x', 'far away/x/y', 'here/../far away/x', 'here/link', 'here/link-to-link'])
      assert.deepEqual(mounts.follow(at('.') + `/${name}`), mount, name)
    assert.deepEqual(mounts.follow(`/proc/self/root${at('far away/x')}`), mount)
  })

for (const type of ['ext4', 'xfs', 'overlay', 'tmpfs', 'btrfs', 'zfs', 'fuseblk', 'virtiofs'])
  test(`a path leads onto ${type}`, (t) => {
    const { at, mounts } = folderWith(t, { '/': 'ext4', disk: type })
    writeFileSync(at('disk/x'), '')
    symlinkSync('../disk/x', at('here/link'))
    assert.equal(mounts.follow(at('here/link')), at('disk/x'))
    assert.throws(() => mounts.follow(at('disk/missing')), { code: 'ENOENT' })
  })

test('what is mounted below such a file system is of its own type', (t) => {
  const { at, mounts } = folderWith(t, { '/': 'ext4', home: 'autofs', 'home/me': 'ext4' })
  writeFileSync(at('home/me/x'), '')
  assert.equal(mounts.follow(at('home/me/x')), at('home/me/x'))
  assert.deepEqual(mounts.follow(at('home/other/x')), { path: at('home'), type: 'autofs' })
})

test('the root, and the file systems of directories that the user has chosen, are searched unless they ask any machine', (t) => {
  for (const [type, isSearched] of [
    ['nfs4', true],
    ['fuse.sshfs', true],
    ['autofs', false],
    ['afs', false],
  ] as const) {
    const { at } = folderWith(t, { work: 'ext4', other: 'ext4' })
    for (const name of ['work/app', 'other/app']) {
      mkdirSync(at(name))
      writeFileSync(at(`${name}/x`), '')
    }
    const lines = ['work', 'other'].map((name) => `1 0 0:1 / ${at(name)} rw - ${type} source rw`)
    const mounts = new Mounts(lines.join('\n'), [at('work/app'), at('missing')])
    const isFound = (name: string): boolean => mounts.follow(at(name)) === at(name)
    assert.deepEqual([isFound('work/app/x'), isFound('other/app/x')], [isSearched, false], type)
    const { at: below, mounts: ofRoot } = folderWith(t, { '/': type })
    assert.equal(ofRoot.follow(below('here/x')) === below('here/x'), isSearched, type)
  }
})

test('links that lead round in a circle end', (t) => {
  const { at, mounts } = folderWith(t, { '/': 'ext4' })
  symlinkSync('b', at('here/a'))
  symlinkSync('a', at('here/b'))
  assert.throws(() => mounts.follow(at('here/a')), /more than 40 symbolic links/)
})

test('the list of this machine is read, and a file here is found', (t) => {
  const mountinfo = readMountinfo()
  if (mountinfo === undefined) return t.skip('there is no list of mounts')
  const { at } = folderWith(t, {})
  assert.equal(new Mounts(mountinfo, [at('here')]).follow(at('here/x')), at('here/x'))
})
