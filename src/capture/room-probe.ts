import os from 'node:os'
import type { MemoryRoom } from '../core/room'
import { readDisk, type Disk } from '../files/directory'
import { kernelFiles } from '../sample/kernel-files'
import { isKilledAsOne } from '../sample/memory-groups'
import { readMemoryRoom } from '../sample/memory-room'
import { ownOnly } from '../time/globals'

/** What room there is now. The real numbers are the machine's; tests bring their own. */
export interface RoomProbe {
  memory(): MemoryRoom
  /** Whether the kernel, when it kills one of our processes for want of memory, kills all of them. */
  isKilledAsOne(): boolean
  /** What the file system that holds the directory has left, and whether it is one in memory. */
  disk(directory: string): Promise<Disk>
}

/** Reads the limits of this process and machine, afresh each time. */
export function createRoomProbe(): RoomProbe {
  return {
    memory() {
      const { availableBytes, limitBytes = os.totalmem() } = ownOnly(readMemoryRoom())
      return { availableBytes, limitBytes }
    },
    isKilledAsOne: () => isKilledAsOne(kernelFiles('/')),
    disk: readDisk,
  }
}
