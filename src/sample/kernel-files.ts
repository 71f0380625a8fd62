import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Reads a small file of the kernel, or says `undefined`: a limit that cannot be read is no reason to stop watching. */
export type ReadKernelFile = (path: string) => string | undefined

/**
 * Reads the files of `/proc` and the cgroup file system beneath a root. Synchronous: they are kept in memory by the
 * kernel and cost microseconds, while an asynchronous reading waits for a thread pool that the application may have filled.
 *
 * @param root - `/`, or a folder laid out like it.
 */
export function kernelFiles(root: string): ReadKernelFile {
  return (path) => {
    try {
      return readFileSync(join(root, path), 'utf8')
    } catch {
      return undefined
    }
  }
}
