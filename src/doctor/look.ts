import { getHeapStatistics } from 'node:v8'
import { endsItsChildrenHere } from '../capture/heap/limit/ends-children'
import type { MemoryRoom } from '../capture/room'
import { createRoomProbe } from '../capture/room-probe'
import { type Disk, nearestExisting, readDisk, whoCanTamper, whyNotWritable } from '../files/directory'
import type { StartFacts } from '../monitor/start/start'
import { type Confinement, readConfinement } from '../system/confinement'

/** State of a directory to which dumps are written. If it is missing, the last three fields describe its nearest parent. */
export interface DirectoryFacts {
  readonly directory: string
  readonly exists: boolean
  readonly whyNotWritable: string | undefined
  readonly whoCanTamper: string | undefined
  /** Free space on the file system of the directory. Absent if it cannot be read. */
  readonly disk: Disk | undefined
}

/** Names of the permissions (scopes) in Node's permission model that a dump can need. */
const SCOPES = ['worker', 'addon', 'inspector'] as const
type Scope = (typeof SCOPES)[number]

/** State of the monitor, the process and its system, by which the doctor judges whether dumps can be made, and how. */
export interface Facts extends StartFacts {
  readonly node: string
  readonly platform: string
  readonly directories: readonly DirectoryFacts[]
  readonly confinement: Confinement
  readonly room: MemoryRoom
  readonly rssBytes: number
  /** V8's limit of the heap, bytes. */
  readonly heapLimitBytes: number
  /** Whether the kernel also ends a forked child when this process ends. */
  readonly endsItsChildren: boolean
  /** Scopes that Node's permission model refuses; `undefined` if the model is off. */
  readonly refused: readonly Scope[] | undefined
  /** Number of JavaScript listeners for the signal in this process, the monitor's included. */
  readonly signalListeners: number
}

/**
 * Collects what the doctor (self-check) judges: the state of the started monitor, of the process and of the dump directories.
 *
 * Creates no directory: for one that is missing, the nearest existing parent is examined instead.
 */
export async function lookAround(start: StartFacts, directories: readonly string[]): Promise<Facts> {
  const { signal } = start
  return {
    ...start,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    directories: await Promise.all([...new Set(directories)].map(lookAt)),
    confinement: readConfinement(),
    room: createRoomProbe().memory(),
    rssBytes: process.memoryUsage.rss(),
    heapLimitBytes: getHeapStatistics().heap_size_limit,
    endsItsChildren: endsItsChildrenHere(),
    refused: refusedScopes(),
    signalListeners: signal === undefined ? 0 : process.listenerCount(signal),
  }
}

async function lookAt(directory: string): Promise<DirectoryFacts> {
  const place = nearestExisting(directory)
  return {
    directory,
    exists: place === directory,
    whyNotWritable: whyNotWritable(place),
    whoCanTamper: whoCanTamper(place),
    disk: await readDisk(place).catch(() => undefined),
  }
}

function refusedScopes(): Scope[] | undefined {
  const { permission } = process as { permission?: { has(scope: string): boolean } }
  return permission && SCOPES.filter((scope) => !permission.has(scope))
}
