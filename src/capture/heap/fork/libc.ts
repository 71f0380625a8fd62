import { closeSync, openSync, readlinkSync, readSync } from 'node:fs'
import { basename } from 'node:path'

/** Program header that holds the path of the loader. */
const PT_INTERP = 3

/**
 * The C library of a Linux executable, by default of this Node: the loader that it asks for belongs to one of them.
 * `process.report` knows the C library too, but waits for every worker thread: seconds, if one is in a long native call.
 *
 * @throws The file system's error, for one where `--permission` does not allow the file to be read.
 */
export function readLibc(executable = '/proc/self/exe'): 'glibc' | 'musl' {
  // In `ld-linux.so.2 node` the executable of the process is the loader itself, which asks for none.
  const loader = readInterpreter(executable) ?? readlinkSync(executable)
  return basename(loader).includes('musl') ? 'musl' : 'glibc'
}

/** For ELF files of 64 bit, little endian, as on all processors that have a prebuilt helper. */
function readInterpreter(file: string): string | undefined {
  const descriptor = openSync(file, 'r')
  const read = (position: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length)
    readSync(descriptor, bytes, 0, length, position)
    return bytes
  }
  try {
    const header = read(0, 64)
    const [entrySize, entries] = [header.readUInt16LE(54), header.readUInt16LE(56)]
    const table = read(Number(header.readBigUInt64LE(32)), entrySize * entries)
    for (let at = 0; at < table.length; at += entrySize) {
      if (table.readUInt32LE(at) !== PT_INTERP) continue
      const [offset, length] = [table.readBigUInt64LE(at + 8), table.readBigUInt64LE(at + 32)]
      // The last byte is the terminating zero.
      return read(Number(offset), Number(length) - 1).toString('latin1')
    }
    return undefined
  } finally {
    closeSync(descriptor)
  }
}
