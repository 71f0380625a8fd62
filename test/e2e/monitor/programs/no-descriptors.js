// Takes all descriptors that its limit leaves, works for a while, and gives them back.
const { closeSync, openSync } = require('node:fs')
const { obey, start } = require('./stage')

const monitor = start()
const taken = []

obey({
  /** Busy in slices, so that the monitor reads and the event loop turns. */
  workWithout(ms) {
    try {
      for (;;) taken.push(openSync('/dev/null'))
    } catch {
      return new Promise((resolve) => {
        const end = Date.now() + ms
        const slice = () => {
          const sliceEnd = Date.now() + 30
          while (Date.now() < sliceEnd);
          if (Date.now() < end) setImmediate(slice)
          else resolve(taken.length)
        }
        slice()
      })
    }
  },
  giveBack: () => taken.splice(0).forEach((descriptor) => closeSync(descriptor)),
  dumpCpu: (ms) => monitor.dumpCpu(ms),
})
