import { closeSync, constants, openSync, writeFileSync } from 'node:fs'

/** Writes into a file that the caller created, and into nothing else that may have taken its name. */
export function overwrite(file: string, text: string): void {
  const descriptor = openSync(file, constants.O_WRONLY | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0))
  try {
    writeFileSync(descriptor, text)
  } finally {
    closeSync(descriptor)
  }
}
