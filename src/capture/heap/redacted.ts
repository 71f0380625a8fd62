import { setFlagsFromString, writeHeapSnapshot } from 'node:v8'
import type { OpenArtefact } from '../../files/artefact'
import type { MarkedFile } from '../../files/partial'
import { openScratch } from '../../files/scratch'
import { redactSnapshot } from '../../redact/snapshot'

/** V8 compiles hot code on threads that a forked child does not have; interpreted, a redaction takes ten times as long. */
const COMPILE_HERE = [
  '--no-concurrent-recompilation',
  '--no-concurrent-osr',
  '--no-maglev',
  '--no-maglev-osr',
]

/** The whole snapshot of an artefact that is to be redacted. It has no name: whatever ends this process, nothing is left of it. */
export interface WholeSnapshot {
  /** Where V8 writes it, on any thread of this process. */
  readonly target: MarkedFile
  /** Writes it into the artefact without the contents of strings. @throws When it is not whole, or the file system's error. */
  redact(): void
  /** Gives its space back. Idempotent. */
  close(): void
}

/** @throws The file system's error, or where no file can be reached without a name. */
export function openWhole(open: OpenArtefact): WholeSnapshot {
  const scratch = openScratch(open.partial.directory)
  const { fd, target } = scratch
  const close = (): void => scratch.close()
  if (target !== undefined)
    return { target, redact: () => void redactSnapshot(fd, (chunk) => open.write(chunk)), close }
  close()
  throw new Error('memory.redact: a file without a name needs /proc/self/fd')
}

/** Writes a snapshot of this process into an artefact, within the call. @returns A note of what was done. */
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
