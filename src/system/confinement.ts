import { type ReadKernelFile, readKernelFile } from './proc'

/** Restrictions of this process, enforced by the kernel, that can make a dump fail. */
export interface Confinement {
  /** RLIMIT_FSIZE: the largest file that the process may write, bytes. Absent without a limit. */
  readonly fileSizeBytes?: number
  /** RLIMIT_AS: the most virtual address space that the process may use, bytes. Absent without a limit. */
  readonly addressSpaceBytes?: number
  /** Whether seccomp restricts the system calls of the process. */
  readonly isFiltered: boolean
}

/** Reads from `/proc` the limits of file size and address space, and whether seccomp filters. Without `/proc` it shows none. */
export function readConfinement(read: ReadKernelFile = readKernelFile): Confinement {
  const limits = read('/proc/self/limits') ?? ''
  const [fileSizeBytes, addressSpaceBytes] = ['file size', 'address space'].map((name) => {
    const soft = new RegExp(`^Max ${name} +(\\d+) `, 'm').exec(limits)?.[1]
    return soft === undefined ? undefined : Number(soft)
  })
  return {
    ...(fileSizeBytes !== undefined && { fileSizeBytes }),
    ...(addressSpaceBytes !== undefined && { addressSpaceBytes }),
    isFiltered: /^Seccomp:\s*[12]$/m.test(read('/proc/self/status') ?? ''),
  }
}
