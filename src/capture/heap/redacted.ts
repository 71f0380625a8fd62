import { setFlagsFromString, writeHeapSnapshot } from 'node:v8'
import type { OpenArtefact } from '../../files/artefact'
import type { MarkedFile } from '../../files/disk'
import { openScratch } from '../../files/scratch'
import { redactSnapshot } from '../../redact/snapshot'

/**
 * V8 options with which V8 compiles hot code on the main thread: a forked child does not have V8's compiler threads, and
 * a redaction by interpreted code takes ten times as long.
 */
const COMPILE_HERE = [
  '--no-concurrent-recompilation',
  '--no-concurrent-osr',
  '--no-maglev',
  '--no-maglev-osr',
]

/** A complete snapshot before it is redacted. Its file has no name, so the kernel frees it when this process ends. */
export interface WholeSnapshot {
  /** Path of the file, to which V8 writes on any thread of this process. */
  readonly target: MarkedFile
  /**
   * Copies the snapshot into the dump's file, without the contents of strings.
   *
   * @throws If V8 has not written the whole snapshot; the file system's error.
   */
  redact(): void
  /** Frees the file's disk space. Idempotent. */
  close(): void
}

/**
 * Opens a nameless file for a complete snapshot, which is then redacted into the dump's file `open`.
 *
 * @throws The file system's error; an Error if /proc/self/fd gives no path to the file.
 */
export function openWhole(open: OpenArtefact): WholeSnapshot {
  const scratch = openScratch(open.partial.directory)
  const { fd, target } = scratch
  const close = (): void => scratch.close()
  if (target !== undefined)
    return { target, redact: () => void redactSnapshot(fd, (chunk) => open.write(chunk)), close }
  close()
  throw new Error(
    'no redacted snapshot was written: its temporary file is reached through /proc/self/fd, which is missing or not permitted',
  )
}

/**
 * Writes a heap snapshot of this process, a forked child, into the dump's file, synchronously.
 *
 * @param isRedacted - Whether the contents of strings are left out.
 * @returns Notes for the sidecar (`.json`): whether the snapshot is redacted.
 */
export function writeSnapshotHere(open: OpenArtefact, isRedacted: boolean | undefined): { redacted?: true } {
  if (!isRedacted) {
    writeHeapSnapshot(open.writePath)
    return {}
  }
  const whole = openWhole(open)
  try {
    writeHeapSnapshot(whole.target.file)
    for (const flag of COMPILE_HERE) setFlagsFromString(flag)
    whole.redact()
    return { redacted: true }
  } finally {
    whole.close()
  }
}
