import { Promise } from '../base/globals'
import { type Disk, readDisk } from '../files/directory'
import { isGroupKilledAsOne, readMemoryRoom } from './memory-room'
import { judgeDisk, type MemoryRoom, roomBeside, type RoomVerdict } from './room'
import { whyNoThreadPool } from './thread-limit'

/** Major version of the running Node. The memory that a heap snapshot needs depends on it. */
export const NODE_MAJOR = Number.parseInt(process.versions.node, 10)

/** Reads the memory and disk space that are available now. Tests use a probe with numbers of their own. */
export interface RoomProbe {
  memory(): MemoryRoom
  /** Whether the kernel kills all processes of this process's cgroup when it kills one for lack of memory. */
  isKilledAsOne(): boolean
  /** Returns the free space of the directory's file system, and whether that file system is memory-backed (tmpfs). */
  disk(directory: string): Promise<Disk>
}

/**
 * Judges whether a file of `fileBytes` fits onto the disk. The function `memory` of the result returns the available memory,
 * less the size of the file if the directory is on a memory-backed file system (tmpfs).
 */
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

/** Returns a probe that reads the memory limits and the disk of this machine anew at each call. */
export function createRoomProbe(): RoomProbe {
  return {
    memory: readMemoryRoom,
    isKilledAsOne: isGroupKilledAsOne,
    /** Rejects if libuv's thread pool cannot start: this is a dump's first use of the pool, and libuv would abort the process. */
    disk: (directory) => {
      const why = whyNoThreadPool()
      return why === undefined ? readDisk(directory) : Promise.reject(new Error(why))
    },
  }
}
