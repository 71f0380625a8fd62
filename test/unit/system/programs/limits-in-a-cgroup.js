// Waits until it has been put into a cgroup, then prints what it may use. Holds some memory that counts.
process.stdin.once('data', () => {
  const { readLimits } = require('../../../../dist/system/limits.js')
  const { readMemoryLeft } = require('../../../../dist/system/limits.js')
  const held = Buffer.alloc(48 * 1024 * 1024, 1)
  const { limits, left } = { limits: readLimits(), left: readMemoryLeft() }
  console.log(
    JSON.stringify({ limits, left, heldBytes: held.length, constrained: process.constrainedMemory() }),
  )
  process.exit()
})
console.log('ready')
