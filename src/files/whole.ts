import { read } from './disk'

/** V8 writes a snapshot as a header, arrays of numbers and, last, an array of strings. */
const HEAD = '{"snapshot":{"meta":{'
const TAIL = '"]}'

/**
 * Checks a heap snapshot by its first and last bytes. V8 writes it by itself, so how many bytes it should have is unknown,
 * and heapdump reports no error on a full disk.
 *
 * @returns Why the snapshot is not whole, or `undefined` if it is.
 */
export function whyNotWhole(fd: number, sizeBytes: number): string | undefined {
  if (sizeBytes === 0) return 'it is empty'
  if (text(fd, 0, HEAD.length) !== HEAD) return 'it does not begin as a heap snapshot does'
  const tailAt = Math.max(0, sizeBytes - TAIL.length)
  return text(fd, tailAt, TAIL.length) === TAIL ? undefined : 'it does not end with its table of strings'
}

function text(fd: number, position: number, lengthBytes: number): string {
  return read(fd, position, lengthBytes).toString('latin1')
}
