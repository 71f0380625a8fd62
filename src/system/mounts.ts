import { lstatSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'

/** A mounted file system. */
export interface Mount {
  readonly path: string
  readonly type: string
}

/** File systems that take the name of a machine from the path, and ask that machine: `/net/<host>`, `/afs/<cell>`. */
const ASKS_ANY = /^(autofs|afs)$/
/** File systems whose files lie on another machine, or in a program that may ask one. */
const ASKS_ITS_OWN = /^(nfs4?|cifs|smb3|smbfs|ncpfs|coda|9p|ceph|lustre|beegfs|pvfs2|fuse(\..+)?)$/
/** Largest number of symbolic links that are followed on one path. The kernel has the same limit, path_resolution(7). */
const MAX_LINKS = 40

/** Reads the list of mounted file systems; `undefined` where there is none, as outside of Linux. */
export function readMountinfo(): string | undefined {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    return undefined
  }
}

/** The mounted file systems of this process, and those of them on which a path may be looked up whoever has chosen it. */
export class Mounts {
  readonly #types: ReadonlyMap<string, string>
  readonly #own: ReadonlySet<string>

  /**
   * @param mountinfo - Text of `/proc/self/mountinfo`.
   * @param directories - Directories that the user has chosen. On their file systems no other machine is asked than the one that
   *   the user has named, unless the file system takes its name from the path.
   */
  constructor(mountinfo: string, directories: readonly string[]) {
    this.#types = typesIn(mountinfo)
    const own = directories.flatMap((directory) => absolute(directory) ?? [])
    this.#own = new Set(['/', ...own.map((directory) => this.#mountOf(directory).path)])
  }

  /**
   * Follows a path level by level, its symbolic links too, and stops before it would ask another machine.
   *
   * @returns The path without links; or the file system that would have to be asked.
   * @throws The file system's error, such as for a missing file.
   */
  follow(path: string): string | Mount {
    let [done, links] = ['/', 0]
    const names = (isAbsolute(path) ? path : `${process.cwd()}/${path}`).split('/')
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === '' || name === '.') continue
      const next = join(done, name)
      const mount = this.#mountOf(next)
      const isAsked = this.#asksAnother(mount)
      if (isAsked && mount.path !== next) return mount
      // The root of a mount is no link. What is mounted below it may be of this machine.
      if (isAsked || name === '..' || !lstatSync(next).isSymbolicLink()) {
        done = next
        continue
      }
      if (++links > MAX_LINKS) throw new Error(`${path} leads through more than ${MAX_LINKS} symbolic links`)
      const target = readlinkSync(next)
      if (isAbsolute(target)) done = '/'
      names.unshift(...target.split('/'))
    }
    const mount = this.#mountOf(done)
    return this.#asksAnother(mount) ? mount : done
  }

  #asksAnother({ path, type }: Mount): boolean {
    return ASKS_ANY.test(type) || (ASKS_ITS_OWN.test(type) && !this.#own.has(path))
  }

  #mountOf(path: string): Mount {
    const type = this.#types.get(path)
    if (type !== undefined) return { path, type }
    return path === dirname(path) ? { path, type: '' } : this.#mountOf(dirname(path))
  }
}

/** An absolute path without links; `undefined` for a missing directory, such as a working directory that was deleted. */
function absolute(directory: string): string | undefined {
  try {
    return realpathSync(directory)
  } catch {
    return undefined
  }
}

/**
 * Reads the types of the file systems by mount point, from lines `id parent device root mountPoint options tags... - type source
 * superOptions` (proc_pid_mountinfo(5)). Of several at one mount point the last one counts, which hides the others.
 */
function typesIn(mountinfo: string): Map<string, string> {
  const entries = mountinfo.split('\n').flatMap((line): [string, string][] => {
    const [before = '', after = ''] = line.split(' - ')
    const [mountPoint, type] = [before.split(' ')[4], after.split(' ')[0]]
    return mountPoint === undefined || type === undefined ? [] : [[unescape(mountPoint), type]]
  })
  return new Map(entries)
}

/** Spaces, tabs, line feeds and backslashes of a mount point are octal numbers in the list. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_whole, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}
