import cpuMemoryMonitor from 'cpu-memory-monitor'

export const monitor = cpuMemoryMonitor({
  profileDir: './evidence',
  cpu: { threshold: 60, counter: 3 },
  memory: { threshold: '400mb', counter: 3 },
})
