// Preloaded into victim.js, and required by it for two orders: counts the signals that arrive, and the promises that are made meanwhile.
const { createHook } = require('node:async_hooks')

let promises = 0
let signals = 0
const hook = createHook({ init: (_id, type) => void (promises += type === 'PROMISE' ? 1 : 0) })
const emit = process.emit
process.emit = function (name, ...args) {
  if (name === 'SIGUSR2') signals++
  return emit.call(this, name, ...args)
}

module.exports = () => ({ count: () => void hook.enable(), counted: () => ({ promises, signals }) })
