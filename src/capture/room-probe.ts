import os from 'node:os'
import { ownOnly, Promise } from '../base/globals'
import { type Disk, readDisk } from '../files/directory'
import { isKilledAsOne, readMemoryLeft } from '../system/limits'
import { readKernelFile } from '../system/proc'
import { judgeDisk, type MemoryRoom, roomBeside, type RoomVerdict } from './room'
import { whyNoThreadPool } from './thread-limit'

/** Major version of the running Node: how much memory a snapshot needs depends on it. */
export const NODE_MAJOR = Number.parseInt(process.versions.node, 10)

/** Reads the memory and disk space that are available now. Tests supply their own numbers. */
export interface RoomProbe {
  memory(): MemoryRoom
  /** Whether the kernel kills all processes of this process's cgroup when it kills one for lack of memory. */
  isKilledAsOne(): boolean
  /** The free space of the directory's file system, and whether that is memory-backed. */
  disk(directory: string): Promise<Disk>
}

/** The space for a file of `fileBytes`, and the memory beside it: less where the file lies in memory too. */
export async function roomFor(
  probe: Pick<RoomProbe, 'memory' | 'disk'>,
  directory: string,
  fileBytes: number,
): Promise<{ readonly disk: RoomVerdict; readonly memory: () => MemoryRoom }> {
  const { freeBytes, isMemory } = await probe.disk(directory)
  return {
    disk: judgeDisk(fileBytes, freeBytes),
    memory: () => (isMemory ? roomBeside(fileBytes, probe.memory()) : probe.memory()),
  }
}

/** Reads the limits of this process and machine at each call. */
export function createRoomProbe(): RoomProbe {
  return {
    memory() {
      const { availableBytes, limitBytes = os.totalmem() } = ownOnly(readMemoryLeft())
      return { availableBytes, limitBytes }
    },
    isKilledAsOne: () => isKilledAsOne(readKernelFile),
    /** The first use of libuv's thread pool by a dump: where the pool cannot start, libuv would abort the process. */
    disk: (directory) => {
      const why = whyNoThreadPool()
      return why === undefined ? readDisk(directory) : Promise.reject(new Error(why))
    },
  }
}
