import { setFlagsFromString, writeHeapSnapshot } from 'node:v8'
import type { OpenArtefact } from '../../files/artefact'
import type { MarkedFile } from '../../files/partial'
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
  /** Copies the snapshot into the dump's file, without string contents. @throws If the snapshot is cut off; on file errors. */
  redact(): void
  /** Frees the file's disk space. Idempotent. */
  close(): void
}

/** Opens a nameless file for a snapshot. @throws The file system's error; an Error if /proc/self/fd gives no path to it. */
export function openWhole(open: OpenArtefact): WholeSnapshot {
  const scratch = openScratch(open.partial.directory)
  const { fd, target } = scratch
  const close = (): void => scratch.close()
  if (target !== undefined)
    return { target, redact: () => void redactSnapshot(fd, (chunk) => open.write(chunk)), close }
  close()
  throw new Error(
    'memory.redact: no snapshot was written: its temporary file needs /proc/self/fd, which is not available',
  )
}

/** Writes a snapshot of this process into the dump's file, synchronously. @returns The notes for the sidecar (`.json`). */
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
