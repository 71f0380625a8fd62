import os from 'node:os'
import type { MemoryRoom } from '../core/room'
import { freeBytes } from '../files/directory'
import { readMemoryRoom } from '../sample/memory-room'

/** What room there is now. The real numbers are the machine's; tests bring their own. */
export interface RoomProbe {
  memory(): MemoryRoom
  /** Free space of the file system that holds the directory, bytes. */
  freeDiskBytes(directory: string): Promise<number>
}

/** Reads the limits of this process and machine, afresh each time. */
export function createRoomProbe(): RoomProbe {
  return {
    memory() {
      const { availableBytes, limitBytes = os.totalmem() } = readMemoryRoom()
      return { availableBytes, limitBytes }
    },
    freeDiskBytes: freeBytes,
  }
}
