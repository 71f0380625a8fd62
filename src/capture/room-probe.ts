import os from 'node:os'
import type { MemoryRoom } from './room'
import { readDisk, type Disk } from '../files/directory'
import { isKilledAsOne } from '../system/cgroups'
import { readMemoryLeft } from '../system/memory-left'
import { readKernelFile } from '../system/proc'
import { ownOnly } from '../base/globals'

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
      const { availableBytes, limitBytes = os.totalmem() } = ownOnly(readMemoryLeft())
      return { availableBytes, limitBytes }
    },
    isKilledAsOne: () => isKilledAsOne(readKernelFile),
    disk: readDisk,
  }
}
