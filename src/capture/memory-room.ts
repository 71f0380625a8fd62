import os from 'node:os'
import { ownOnly } from '../base/globals'
import { isKilledAsOne, readMemoryLeft } from '../system/limits'
import { readKernelFile } from '../system/proc'
import type { MemoryRoom } from './room'

/** Reads how much memory this process can still allocate, and the memory limit (of its cgroup or the machine) that applies. */
export function readMemoryRoom(): MemoryRoom {
  const { availableBytes, limitBytes = os.totalmem() } = ownOnly(readMemoryLeft())
  return { availableBytes, limitBytes }
}

/** Whether the kernel kills all processes of this process's cgroup when it kills one for lack of memory. */
export function isGroupKilledAsOne(): boolean {
  return isKilledAsOne(readKernelFile)
}
