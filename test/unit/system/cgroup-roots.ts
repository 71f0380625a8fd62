import type { Limits, MemoryLeft } from '../../../src/system/limits'
import type { ReadKernelFile } from '../../../src/system/proc'

/** A machine as its files describe it, and what is to be read from them. */
export interface CgroupRoot {
  /** Text by path; a file that exists but cannot be read has an error code instead. */
  readonly files: Readonly<Record<string, string | { readonly error: string }>>
  readonly limits: Omit<Limits, 'totalMemoryBytes' | 'problems'>
  readonly left: MemoryLeft
  /** The files that are reported at start; none where absent. */
  readonly problems?: readonly string[]
}

/** Reads from a table instead of the machine. */
export function readerOf(files: CgroupRoot['files']): ReadKernelFile {
  return (path, onError) => {
    const file = files[path]
    if (typeof file === 'object') onError?.(file.error)
    return typeof file === 'string' ? file : undefined
  }
}

/** Four cores and 8 GiB, half of it available. */
export const MACHINE = {
  '/proc/meminfo': 'MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:    4194304 kB\n',
  '/proc/self/status': 'Name:\tnode\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n',
}

const V2_MOUNT =
  '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n'
const V1_MOUNTS =
  '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n' +
  '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n' +
  '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n' +
  '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n'
const V1_MEMBERSHIP = '4:memory:/app\n2:cpu,cpuacct:/app\n1:name=systemd:/app\n'

export const CGROUP_ROOTS: Readonly<Record<string, CgroupRoot>> = {
  'cgroup-malformed': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0:\n::\n\nx:memory:/app\n0::app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/memory.max': '536870912\n',
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: ['/proc/self/cgroup line 1 is malformed ("0:")'],
  },
  'cgroup-missing': {
    files: {
      ...MACHINE,
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/memory.max': '536870912\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 4, cpusSource: 'machine' },
    left: { availableBytes: 4_294_967_296 },
  },
  'cpuset-narrower-than-the-quota': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/proc/self/status': 'Name:\tnode\nCpus_allowed:\tf\nCpus_allowed_list:\t2\n',
      '/sys/fs/cgroup/app/cpu.max': '150000 100000\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 1, cpusSource: 'machine' },
    left: { availableBytes: 4_294_967_296 },
  },
  'hybrid-cpu-on-v2': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '4:memory:/app\n2:cpuacct:/\n0::/app\n',
      '/proc/self/mountinfo':
        '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n',
      '/sys/fs/cgroup/memory/app/memory.limit_in_bytes': '536870912\n',
      '/sys/fs/cgroup/memory/app/memory.stat': 'cache 10\ninactive_file 1\ntotal_inactive_file 0\n',
      '/sys/fs/cgroup/memory/app/memory.usage_in_bytes': '12582912\n',
      '/sys/fs/cgroup/unified/app/cpu.max': '300000 100000\n',
    },
    limits: {
      memoryLimitBytes: 536_870_912,
      memoryLimitSource: 'cgroup-v1',
      cpus: 3,
      cpusSource: 'cgroup-v2',
    },
    left: { limitBytes: 536_870_912, availableBytes: 524_288_000 },
  },
  'hybrid-memory-on-v1': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '4:memory:/app\n2:cpu,cpuacct:/\n0::/app\n',
      '/proc/self/mountinfo':
        '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n',
      '/sys/fs/cgroup/memory/app/memory.limit_in_bytes': '536870912\n',
      '/sys/fs/cgroup/memory/app/memory.stat': 'cache 10\ninactive_file 1\ntotal_inactive_file 0\n',
      '/sys/fs/cgroup/memory/app/memory.usage_in_bytes': '12582912\n',
      '/sys/fs/cgroup/unified/app/cgroup.procs': '1\n',
    },
    limits: { memoryLimitBytes: 536_870_912, memoryLimitSource: 'cgroup-v1', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 536_870_912, availableBytes: 524_288_000 },
  },
  'mountinfo-missing': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/sys/fs/cgroup/app/memory.max': '536870912\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 4, cpusSource: 'machine' },
    left: { availableBytes: 4_294_967_296 },
  },
  'mountinfo-torn': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': '31 23 0:28 / /sys/fs/cgroup rw - cgr',
      '/sys/fs/cgroup/app/memory.max': '536870912\n',
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: ['/proc/self/mountinfo line 1 is malformed ("31 23 0:28 / /sys/fs/cgroup rw - cgr")'],
  },
  'mountinfo-without-separator': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo':
        '31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 cgroup2 cgroup2 rw,nsdelegate\n',
      '/sys/fs/cgroup/app/memory.max': '536870912\n',
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: [
      '/proc/self/mountinfo line 1 is malformed ("31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 cgroup2 cgrou")',
    ],
  },
  'v1-ancestor-out-of-sight': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': V1_MEMBERSHIP,
      '/proc/self/mountinfo': V1_MOUNTS,
      '/sys/fs/cgroup/memory/app/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/app/memory.stat':
        'cache 10\ninactive_file 1\nhierarchical_memory_limit 419430400\ntotal_inactive_file 104857600\n',
      '/sys/fs/cgroup/memory/app/memory.usage_in_bytes': '314572800\n',
    },
    limits: { memoryLimitBytes: 419_430_400, memoryLimitSource: 'cgroup-v1', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 419_430_400, availableBytes: 209_715_200 },
  },
  'v1-container-path-of-the-host': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '4:memory:/docker/abc\n',
      '/proc/self/mountinfo':
        '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '536870912\n',
      '/sys/fs/cgroup/memory/memory.stat': 'cache 10\ninactive_file 1\ntotal_inactive_file 0\n',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': '12582912\n',
    },
    limits: { memoryLimitBytes: 536_870_912, memoryLimitSource: 'cgroup-v1', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 536_870_912, availableBytes: 524_288_000 },
  },
  'v1-own-limit': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': V1_MEMBERSHIP,
      '/proc/self/mountinfo': V1_MOUNTS,
      '/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us': '150000\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/memory/app/memory.limit_in_bytes': '536870912\n',
      '/sys/fs/cgroup/memory/app/memory.stat':
        'cache 10\ninactive_file 1\nhierarchical_memory_limit 536870912\ntotal_inactive_file 104857600\n',
      '/sys/fs/cgroup/memory/app/memory.usage_in_bytes': '314572800\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    },
    limits: {
      memoryLimitBytes: 536_870_912,
      memoryLimitSource: 'cgroup-v1',
      cpus: 1.5,
      cpusSource: 'cgroup-v1',
    },
    left: { limitBytes: 536_870_912, availableBytes: 327_155_712 },
  },
  'v1-parent-is-tighter': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '4:memory:/pod/app\n2:cpu,cpuacct:/pod/app\n',
      '/proc/self/mountinfo': V1_MOUNTS,
      '/sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us': '50000\n',
      '/sys/fs/cgroup/memory/pod/app/memory.limit_in_bytes': '536870912\n',
      '/sys/fs/cgroup/memory/pod/app/memory.stat': 'cache 10\ninactive_file 1\ntotal_inactive_file 0\n',
      '/sys/fs/cgroup/memory/pod/app/memory.usage_in_bytes': '104857600\n',
      '/sys/fs/cgroup/memory/pod/memory.limit_in_bytes': '268435456\n',
      '/sys/fs/cgroup/memory/pod/memory.stat': 'cache 10\ninactive_file 1\ntotal_inactive_file 0\n',
      '/sys/fs/cgroup/memory/pod/memory.usage_in_bytes': '209715200\n',
    },
    limits: {
      memoryLimitBytes: 268_435_456,
      memoryLimitSource: 'cgroup-v1',
      cpus: 0.5,
      cpusSource: 'cgroup-v1',
    },
    left: { limitBytes: 268_435_456, availableBytes: 58_720_256 },
  },
  'v1-unlimited': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': V1_MEMBERSHIP,
      '/proc/self/mountinfo': V1_MOUNTS,
      '/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/memory/app/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/app/memory.stat':
        'cache 10\ninactive_file 1\nhierarchical_memory_limit 9223372036854771712\ntotal_inactive_file 0\n',
      '/sys/fs/cgroup/memory/app/memory.usage_in_bytes': '314572800\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 4, cpusSource: 'machine' },
    left: { availableBytes: 4_294_967_296 },
  },
  'v2-digits-without-end': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max':
        '9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999 100000\n',
      '/sys/fs/cgroup/app/memory.max':
        '9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999\n',
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: [
      '/sys/fs/cgroup/app/memory.max line 1 is malformed ("999999999999999999999999999999999999999999999999999999999999")',
      '/sys/fs/cgroup/app/cpu.max line 1 is malformed ("999999999999999999999999999999999999999999999999999999999999")',
    ],
  },
  'v2-files-empty': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': '',
      '/sys/fs/cgroup/app/memory.current': '',
      '/sys/fs/cgroup/app/memory.max': '',
      '/sys/fs/cgroup/app/memory.stat': '',
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: [
      '/sys/fs/cgroup/app/memory.max line 1 is malformed ("")',
      '/sys/fs/cgroup/app/cpu.max line 1 is malformed ("")',
    ],
  },
  'v2-files-unreadable': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': { error: 'EISDIR' },
      '/sys/fs/cgroup/app/memory.max': { error: 'EISDIR' },
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: [
      '/sys/fs/cgroup/app/memory.max cannot be read (EISDIR)',
      '/sys/fs/cgroup/app/cpu.max cannot be read (EISDIR)',
    ],
  },
  'v2-grandparent-limits': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/a/b/c\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/a/b/c/memory.max': 'max\n',
      '/sys/fs/cgroup/a/b/memory.max': 'max\n',
      '/sys/fs/cgroup/a/memory.current': '33554432\n',
      '/sys/fs/cgroup/a/memory.max': '67108864\n',
      '/sys/fs/cgroup/a/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
    },
    limits: { memoryLimitBytes: 67_108_864, memoryLimitSource: 'cgroup-v2', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 67_108_864, availableBytes: 33_554_432 },
  },
  'v2-limit-above-the-machine': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': '800000 100000\n',
      '/sys/fs/cgroup/app/memory.current': '314572800\n',
      '/sys/fs/cgroup/app/memory.max': '8589934592\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 4, cpusSource: 'machine' },
    left: { availableBytes: 4_294_967_296 },
  },
  'v2-limit-zero': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': '0 100000\n',
      '/sys/fs/cgroup/app/memory.max': '0\n',
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: [
      '/sys/fs/cgroup/app/memory.max line 1 is malformed ("0")',
      '/sys/fs/cgroup/app/cpu.max line 1 is malformed ("0 100000")',
    ],
  },
  'v2-mounted-twice': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/pod/app\n',
      '/proc/self/mountinfo':
        '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n31 23 0:28 /pod/app /run/part rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n',
      '/run/part/memory.max': 'max\n',
      '/sys/fs/cgroup/pod/memory.current': '12582912\n',
      '/sys/fs/cgroup/pod/memory.max': '536870912\n',
      '/sys/fs/cgroup/pod/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
    },
    limits: { memoryLimitBytes: 536_870_912, memoryLimitSource: 'cgroup-v2', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 536_870_912, availableBytes: 524_288_000 },
  },
  'v2-moved-out-of-the-namespace': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/../other\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/memory.current': '12582912\n',
      '/sys/fs/cgroup/memory.max': '536870912\n',
      '/sys/fs/cgroup/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
      '/sys/fs/other/memory.max': '1048576\n',
    },
    limits: { memoryLimitBytes: 536_870_912, memoryLimitSource: 'cgroup-v2', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 536_870_912, availableBytes: 524_288_000 },
  },
  'v2-namespace': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/cpu.max': '25000 100000\n',
      '/sys/fs/cgroup/memory.current': '629145600\n',
      '/sys/fs/cgroup/memory.max': '536870912\n',
      '/sys/fs/cgroup/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 8388608\n',
    },
    limits: {
      memoryLimitBytes: 536_870_912,
      memoryLimitSource: 'cgroup-v2',
      cpus: 0.25,
      cpusSource: 'cgroup-v2',
    },
    left: { limitBytes: 536_870_912, availableBytes: 0 },
  },
  'v2-neighbours-fill-the-parent': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/pod/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/pod/app/memory.current': '104857600\n',
      '/sys/fs/cgroup/pod/app/memory.max': '268435456\n',
      '/sys/fs/cgroup/pod/app/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
      '/sys/fs/cgroup/pod/memory.current': '1048576000\n',
      '/sys/fs/cgroup/pod/memory.max': '1073741824\n',
      '/sys/fs/cgroup/pod/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 4194304\n',
    },
    limits: { memoryLimitBytes: 268_435_456, memoryLimitSource: 'cgroup-v2', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 1_073_741_824, availableBytes: 29_360_128 },
  },
  'v2-own-limit': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/app/memory.current': '314572800\n',
      '/sys/fs/cgroup/app/memory.max': '536870912\n',
      '/sys/fs/cgroup/app/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 104857600\n',
    },
    limits: {
      memoryLimitBytes: 536_870_912,
      memoryLimitSource: 'cgroup-v2',
      cpus: 1.5,
      cpusSource: 'cgroup-v2',
    },
    left: { limitBytes: 536_870_912, availableBytes: 327_155_712 },
  },
  'v2-parent-is-tighter': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/pod/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/pod/app/cpu.max': '200000 100000\n',
      '/sys/fs/cgroup/pod/app/memory.current': '104857600\n',
      '/sys/fs/cgroup/pod/app/memory.max': '536870912\n',
      '/sys/fs/cgroup/pod/app/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
      '/sys/fs/cgroup/pod/cpu.max': '50000 100000\n',
      '/sys/fs/cgroup/pod/memory.current': '209715200\n',
      '/sys/fs/cgroup/pod/memory.max': '268435456\n',
      '/sys/fs/cgroup/pod/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
    },
    limits: {
      memoryLimitBytes: 268_435_456,
      memoryLimitSource: 'cgroup-v2',
      cpus: 0.5,
      cpusSource: 'cgroup-v2',
    },
    left: { limitBytes: 268_435_456, availableBytes: 58_720_256 },
  },
  'v2-part-of-the-hierarchy-mounted': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/docker/abc/app\n',
      '/proc/self/mountinfo':
        '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n31 23 0:28 /docker/abc /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n',
      '/sys/fs/cgroup/app/memory.max': 'max\n',
      '/sys/fs/cgroup/docker/abc/memory.max': '1\n',
      '/sys/fs/cgroup/memory.current': '12582912\n',
      '/sys/fs/cgroup/memory.max': '536870912\n',
      '/sys/fs/cgroup/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
    },
    limits: { memoryLimitBytes: 536_870_912, memoryLimitSource: 'cgroup-v2', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 536_870_912, availableBytes: 524_288_000 },
  },
  'v2-period-missing': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': '50000\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: ['/sys/fs/cgroup/app/cpu.max line 1 is malformed ("50000")'],
  },
  'v2-root-prefix-is-no-ancestor': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/docker/abc\n',
      '/proc/self/mountinfo':
        '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n31 23 0:28 /docker/ab /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n',
      '/sys/fs/cgroup/c/memory.max': '1048576\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 4, cpusSource: 'machine' },
    left: { availableBytes: 4_294_967_296 },
  },
  'v2-space-in-the-mount-point': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/a:b\n',
      '/proc/self/mountinfo':
        '22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n31 23 0:28 / /sys/fs/c\\040group rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n',
      '/sys/fs/c group/a:b/memory.current': '12582912\n',
      '/sys/fs/c group/a:b/memory.max': '536870912\n',
      '/sys/fs/c group/a:b/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
    },
    limits: { memoryLimitBytes: 536_870_912, memoryLimitSource: 'cgroup-v2', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 536_870_912, availableBytes: 524_288_000 },
  },
  'v2-stat-missing': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/memory.current': '104857600\n',
      '/sys/fs/cgroup/app/memory.max': '536870912\n',
    },
    limits: { memoryLimitBytes: 536_870_912, memoryLimitSource: 'cgroup-v2', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 536_870_912, availableBytes: 432_013_312 },
  },
  'v2-throttled-alone': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/app/memory.current': '314572800\n',
      '/sys/fs/cgroup/app/memory.high': '419430400\n',
      '/sys/fs/cgroup/app/memory.max': 'max\n',
      '/sys/fs/cgroup/app/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 4, cpusSource: 'machine' },
    left: { limitBytes: 419_430_400, availableBytes: 104_857_600 },
  },
  'v2-throttled-below-the-limit': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/app/memory.current': '314572800\n',
      '/sys/fs/cgroup/app/memory.high': '419430400\n',
      '/sys/fs/cgroup/app/memory.max': '536870912\n',
      '/sys/fs/cgroup/app/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 104857600\n',
    },
    limits: {
      memoryLimitBytes: 536_870_912,
      memoryLimitSource: 'cgroup-v2',
      cpus: 1.5,
      cpusSource: 'cgroup-v2',
    },
    left: { limitBytes: 419_430_400, availableBytes: 209_715_200 },
  },
  'v2-unlimited': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/app/memory.current': '314572800\n',
      '/sys/fs/cgroup/app/memory.max': 'max\n',
      '/sys/fs/cgroup/app/memory.stat': 'anon 1000\nfile 5000\nactive_file 10\ninactive_file 0\n',
    },
    limits: { memoryLimitSource: 'none', cpus: 4, cpusSource: 'machine' },
    left: { availableBytes: 4_294_967_296 },
  },
  'v2-usage-missing': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/memory.max': '536870912\n',
    },
    limits: { memoryLimitBytes: 536_870_912, memoryLimitSource: 'cgroup-v2', cpus: 4, cpusSource: 'machine' },
    left: { availableBytes: 4_294_967_296 },
  },
  'v2-values-malformed': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': '100000 0\n',
      '/sys/fs/cgroup/app/memory.current': '-5\n',
      '/sys/fs/cgroup/app/memory.max': '512M\n',
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: [
      '/sys/fs/cgroup/app/memory.max line 1 is malformed ("512M")',
      '/sys/fs/cgroup/app/cpu.max line 1 is malformed ("100000 0")',
    ],
  },
  'v2-values-negative': {
    files: {
      ...MACHINE,
      '/proc/self/cgroup': '0::/app\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/app/cpu.max': '-1 100000\n',
      '/sys/fs/cgroup/app/memory.max': '-1\n',
    },
    limits: { memoryLimitSource: 'unknown', cpus: 4, cpusSource: 'unknown' },
    left: { availableBytes: 4_294_967_296 },
    problems: [
      '/sys/fs/cgroup/app/memory.max line 1 is malformed ("-1")',
      '/sys/fs/cgroup/app/cpu.max line 1 is malformed ("-1 100000")',
    ],
  },
}

/** A group with more memory left than the machine has. */
export const MACHINE_NEARLY_FULL: CgroupRoot['files'] = {
  ...CGROUP_ROOTS['v2-own-limit']?.files,
  '/proc/meminfo': 'MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:      65536 kB\n',
}
