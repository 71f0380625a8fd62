import os from 'node:os'
import type { MemoryRoom } from '../core/room'
import { readDisk, type Disk } from '../files/directory'
import { kernelFiles } from '../sample/kernel-files'
import { isKilledAsOne } from '../sample/memory-groups'
import { readMemoryRoom } from '../sample/memory-room'

/** The room that is available now. The real numbers are the machine's; tests supply their own. */
export interface RoomProbe {
  memory(): MemoryRoom
  /** Whether the kernel, when it kills one of our processes for lack of memory, kills all of them. */
  isKilledAsOne(): boolean
  /** The free space of the directory's file system, and whether that is memory-backed. */
  disk(directory: string): Promise<Disk>
}

/** Reads the limits of this process and machine, afresh each time. */
export function createRoomProbe(): RoomProbe {
  return {
    memory() {
      const { availableBytes, limitBytes = os.totalmem() } = readMemoryRoom()
      return { availableBytes, limitBytes }
    },
    isKilledAsOne: () => isKilledAsOne(kernelFiles('/')),
    disk: readDisk,
  }
}
