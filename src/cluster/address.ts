import type { Address } from 'node:cluster'

/** Where a worker no longer listens: a port, or the file of a socket or pipe. */
export type Place = number | string

/** Says where a worker's server listens, as the primary is told; the same for all workers that listen there. */
export function addressInWords({ addressType, address, port }: Address): string {
  // -1: a socket file or a pipe; the types allow for null and undefined too little.
  if ((addressType as number) === -1) return address
  const host = (address as string | null) ?? '*'
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return typeof addressType === 'number' ? where : `${addressType} ${where}`
}

/** Of the servers that a worker tells of, which are TCP servers or listen on a file. */
export function isAt(address: string, place: Place): boolean {
  if (typeof place === 'string') return address === place
  return !address.startsWith('udp') && address.endsWith(`:${place}`)
}
