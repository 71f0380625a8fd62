import os from 'node:os'
import { ownOnly } from '../base/globals'
import { isKilledAsOne, readMemoryLeft } from '../system/limits'
import { readKernelFile } from '../system/proc'
import type { MemoryRoom } from './room'

/** Reads the memory that this process may still use, by its limits and the machine's. */
export function readMemoryRoom(): MemoryRoom {
  const { availableBytes, limitBytes = os.totalmem() } = ownOnly(readMemoryLeft())
  return { availableBytes, limitBytes }
}

/** Whether the kernel kills all processes of this process's cgroup when it kills one for lack of memory. */
export function isGroupKilledAsOne(): boolean {
  return isKilledAsOne(readKernelFile)
}
