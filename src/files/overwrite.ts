import { closeSync, ftruncateSync } from 'node:fs'
import { write } from './disk'
import { openMarked, pathThrough, type MarkedFile } from './partial'

/**
 * Writes a text into the marked file, and into no other that may have taken its name.
 *
 * @returns Size of the text, bytes.
 * @throws When the file is gone or was replaced.
 */
export function overwrite(target: MarkedFile, text: string): number {
  return withMarked(target, (fd) => {
    const bytes = Buffer.from(text)
    ftruncateSync(fd)
    write(fd, bytes, 0)
    return bytes.length
  })
}

/** Has code that accepts only a path write into the marked file. @throws As {@link overwrite} does. */
export function writeByPath(target: MarkedFile, writeTo: (path: string) => void): void {
  withMarked(target, (fd) => writeTo(pathThrough(fd, target.file)))
}

function withMarked<T>(target: MarkedFile, use: (fd: number) => T): T {
  const fd = openMarked(target)
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}
