import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

let pipes = 0

/** A pipe by a name in the directory: the end for reading, and one for writing that has to be closed. */
export function openPipe(directory: string): { readonly read: number; readonly write: number } {
  const name = join(directory, `pipe-${++pipes}`)
  execFileSync('mkfifo', [name])
  const read = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK)
  return { read, write: openSync(name, constants.O_WRONLY) }
}

/** The end for reading of a pipe that gives this text and ends. */
export function pipeThatSays(directory: string, text: string): number {
  const { read, write } = openPipe(directory)
  writeSync(write, text)
  closeSync(write)
  return read
}
