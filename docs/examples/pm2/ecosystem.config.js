'use strict'
module.exports = {
  apps: [
    {
      name: 'shop',
      script: 'server.js',
      cwd: __dirname,
      node_args: '--require cpu-memory-monitor/register',
      env: {
        CMM_PROFILE_DIR: './evidence',
        CMM_CPU_THRESHOLD: '60',
        CMM_CPU_COUNTER: '3',
        CMM_MEMORY_THRESHOLD: '400mb',
      },
      // Well above the threshold: the snapshot is made before PM2 replaces the process.
      max_memory_restart: '600M',
      // Time for a dump that is being made, ms.
      kill_timeout: 10_000,
    },
  ],
}
