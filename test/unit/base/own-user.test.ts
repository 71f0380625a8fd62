import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { inWords, isOwn, isOwnUser, keeping, standsForOne } from '../../../src/base/own-user'
import { scratch } from '../../harness/program'
import { built, inNamespace, noNamespace, UNMAPPED } from '../../harness/user-namespace'

const NOBODY = 65_534
const readerOf = (map: string) => (path: string) => (path.endsWith('id_map') ? map : '65534\n')
const all = readerOf('         0          0 4294967295\n')
const some = readerOf('         0     100000      65536\n')
const isLinux = process.platform === 'linux'

describe('a user id', { skip: !isLinux && 'only Linux has user namespaces' }, () => {
  it('is that of this process when the numbers are the same', () => {
    assert.deepEqual(
      [isOwnUser(1000, 1000, some), isOwnUser(NOBODY, NOBODY, all), isOwnUser(0, 0, some)],
      [true, true, true],
    )
  })

  it('is of another when they are not, for root too, and where the number is that of all who have none', () => {
    assert.deepEqual(
      [isOwnUser(0, 1000, all), isOwnUser(1000, 0, all), isOwnUser(NOBODY, NOBODY, some)],
      [false, false, false],
    )
  })

  it('stands for several where the map cannot be read, and a group id where its own map says so', () => {
    const without = () => undefined
    assert.deepEqual(
      [standsForOne(NOBODY, 'uid', without), standsForOne(1000, 'uid', without)],
      [false, true],
    )
    const groupsOnly = (path: string) => (path.includes('gid') ? some : all)(path)
    assert.deepEqual(
      [standsForOne(NOBODY, 'uid', groupsOnly), standsForOne(NOBODY, 'gid', groupsOnly)],
      [true, false],
    )
  })

  it('is the number in words where it stands for one', () => assert.equal(inWords(1000), 'the user 1000'))
})

test('a file of the kernel is read once, but again when it could not be read or was empty', () => {
  const answers = [undefined, '', 'first', 'second']
  const read = keeping(() => answers.shift())
  assert.deepEqual([read('map'), read('map'), read('map'), read('map')], [undefined, '', 'first', 'first'])
})

describe(
  'a file',
  { skip: (process.getuid?.() !== 0 || !isLinux) && 'only root of Linux can be another user' },
  () => {
    /** Asks as user 65534, as a service that runs as `nobody`. */
    const asNobody = (path: string, read = all): boolean => {
      process.seteuid?.(NOBODY)
      try {
        return isOwn(path, lstatSync(path), read)
      } finally {
        process.seteuid?.(0)
      }
    }

    for (const [where, read] of [
      ['outside of a user namespace', all],
      ['in one', some],
    ] as const)
      it(`of user 65534 is his own ${where}, that of another user is not`, (t) => {
        const directory = scratch(t)
        chmodSync(directory, 0o755)
        for (const [name, owner] of [
          ['own', NOBODY],
          ['other', UNMAPPED],
        ] as const) {
          writeFileSync(join(directory, name), '', { mode: 0o644 })
          chownSync(join(directory, name), owner, owner)
        }
        assert.deepEqual(
          [asNobody(join(directory, 'own'), read), asNobody(join(directory, 'other'), read)],
          [true, false],
        )
      })

    it('is not the one that was looked at when another has its path', (t) => {
      const directory = scratch(t)
      chmodSync(directory, 0o755)
      const [path, other] = [join(directory, 'a'), join(directory, 'b')]
      for (const file of [path, other]) {
        writeFileSync(file, '')
        chownSync(file, NOBODY, NOBODY)
      }
      const stats = lstatSync(other)
      process.seteuid?.(NOBODY)
      try {
        assert.deepEqual([isOwn(path, stats, some), isOwn(other, stats, some)], [false, true])
      } finally {
        process.seteuid?.(0)
      }
    })
  },
)

describe('in a user namespace that does not map other users', { skip: noNamespace }, () => {
  const { own, packages } = { own: built('base/own-user'), packages: built('base/strangers') }

  it('files, directories and processes of this user are told from those of the others', (t) => {
    const directory = scratch(t)
    const at = (name: string): string => join(directory, name)
    for (const name of ['mine', 'theirs']) {
      writeFileSync(at(name), '', { mode: 0o644 })
      mkdirSync(at(`${name}.d`), { mode: 0o755 })
      symlinkSync('mine', at(`${name}.link`))
    }
    for (const name of ['theirs', 'theirs.d', 'theirs.link']) lchownSync(at(name), UNMAPPED, UNMAPPED)
    linkSync(at('theirs'), at('linked'))
    const child = spawn('sleep', ['100'], { uid: UNMAPPED, stdio: 'ignore' })
    t.after(() => child.kill('SIGKILL'))
    const names = ['mine', 'theirs', 'mine.d', 'theirs.d', 'mine.link', 'theirs.link', 'linked'].map(at)
    const answer = inNamespace(
      `[...process.argv.slice(1), '/proc/' + process.pid].map((path) => [fs.lstatSync(path).uid, ${own}.isOwnNow(path)])`,
      ...names,
      `/proc/${child.pid}`,
    )
    // Nothing tells whose a symbolic link is.
    const isMine = [true, false, true, false, false, false, false, false, true]
    assert.deepEqual(
      answer,
      isMine.map((mine) => [NOBODY, mine]),
    )
  })

  it('memory is counted of the own processes alone', (t) => {
    const child = spawn('sleep', ['100'], { uid: UNMAPPED, stdio: 'ignore' })
    t.after(() => child.kill('SIGKILL'))
    const proc = built('system/proc')
    const answer = inNamespace(
      `[process.pid, process.argv[1]].map((pid) => ${proc}.readPrivateBytes(pid) > 0)`,
      String(child.pid),
    )
    assert.deepEqual(answer, [true, false])
  })

  it('code of a user who is not mapped is trusted only in the tree of the code that runs already', (t) => {
    const directory = scratch(t)
    const make = (path: string, owner = UNMAPPED): string => {
      mkdirSync(join(directory, path), { recursive: true, mode: 0o755 })
      chownSync(join(directory, path), owner, owner)
      return join(directory, path)
    }
    const above = make('node_modules')
    const mine = make('mine/node_modules', 0)
    const tree = make('app/node_modules')
    const beside = make('app/node_modules/beside')
    const place = make('app/node_modules/library')
    const trusts = (path: string, code: string): unknown =>
      inNamespace(`${packages}.firstOfStranger([process.argv[1]], process.argv[2]) ?? true`, path, code)
    assert.deepEqual(
      [trusts(beside, place), trusts(above, place), trusts(mine, place), trusts(above, mine)],
      [true, above, true, above],
    )
    chmodSync(tree, 0o1777)
    assert.equal(trusts(beside, place), beside)
    assert.match(
      String(inNamespace(`${packages}.whyStranger(process.argv[1])`, above)),
      /^belongs to the user 65534, by which this user namespace shows all users that it does not map$/,
    )
  })
})
