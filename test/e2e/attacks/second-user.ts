import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'

/** Another user of the machine, without rights. */
export interface SecondUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** Names of these users, with the pid of the test process that made them. */
const NAME = /^cmm-evil-(\d+)$/

/** The user, or why there is none. Made for this test file, removed after it, also when it fails. */
export const secondUser: SecondUser | string = makeUser()

/** For the `skip` of a test that needs {@link secondUser}. */
export const noSecondUser = typeof secondUser === 'string' ? secondUser : false

/** The user; only in tests that are skipped without one. */
export function evil(): SecondUser {
  if (typeof secondUser === 'string') throw new Error(secondUser)
  return secondUser
}

/** A directory of the test's own that every user may enter, gone after it. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'attacks-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  chmodSync(directory, 0o755)
  return directory
}

/** A directory below the scratch directory, of that owner and mode. */
export function makeDirectory(parent: string, name: string, mode: number, { uid, gid } = ROOT): string {
  const directory = join(parent, name)
  mkdirSync(directory)
  execFileSync('chown', [`${uid}:${gid}`, directory])
  chmodSync(directory, mode)
  return directory
}

export const ROOT = { uid: 0, gid: 0 }

function makeUser(): SecondUser | string {
  if (process.platform !== 'linux') return `a second user is made by useradd, this is ${process.platform}`
  if (process.getuid?.() !== 0) return 'only root can make a second user'
  for (const name of users()) {
    const [, pid] = NAME.exec(name) ?? []
    if (pid !== undefined && !isAlive(Number(pid))) removeUser(name)
  }
  const name = `cmm-evil-${process.pid}`
  const options = ['--system', '--no-create-home', '--no-user-group', '--gid', 'nogroup']
  const { error, status, stderr } = spawnSync('useradd', [...options, '--shell', '/bin/false', name])
  if (error) return `no second user: ${error.message}`
  if (status !== 0) return `no second user: useradd: ${stderr.toString().trim()}`
  const remove = once(() => removeUser(name))
  process.once('exit', remove)
  after(remove)
  const idOf = (flag: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }))
  return { name, uid: idOf('-u'), gid: idOf('-g') }
}

/** Of this name only: `userdel` takes no pattern. */
function removeUser(name: string): void {
  if (NAME.test(name)) spawnSync('userdel', [name], { stdio: ['ignore', 'ignore', 'inherit'] })
}

function users(): string[] {
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':', 1)[0] ?? '')
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function once(action: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) action()
    isDone = true
  }
}
