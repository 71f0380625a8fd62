import { type ReadKernelFile, readKernelFile } from './proc'

/** What the kernel forbids this process, as far as a dump depends on it. */
export interface Confinement {
  /** RLIMIT_FSIZE: the largest file that it may write, bytes. Absent without a limit. */
  readonly fileSizeBytes?: number
  /** RLIMIT_AS: addresses that it may use, bytes. Absent without a limit. */
  readonly addressSpaceBytes?: number
  /** System calls are filtered by seccomp. */
  readonly isFiltered: boolean
}

/** Where there is no `/proc`, nothing is known to be forbidden. */
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
