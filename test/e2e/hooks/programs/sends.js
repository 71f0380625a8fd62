// Idles, dumps by hand when told to, and sends what it dumps to the bucket of its second argument.
const [, , , destination, how = ''] = process.argv
if (how === 'no thread') {
  require('node:worker_threads').Worker = class {
    constructor() {
      throw new Error('no more threads')
    }
  }
}
const { uploadTo } = require('cpu-memory-monitor/s3')
const { obey, say, start } = require('../../monitor/programs/stage')

const monitor = start(destination === undefined ? {} : { onDump: uploadTo(JSON.parse(destination)) })
obey({
  dumpCpu: (durationMs) => monitor.dumpCpu(durationMs),
  dumpMemory: () => monitor.dumpMemory(),
  stop: () => monitor.stop(),
  /** From now on nothing of the test's keeps the process alive. */
  letGo: () => process.channel.unref(),
})
say('ready')
