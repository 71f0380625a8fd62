// Makes rounds of readings, and prints what the process holds before the first, after it and after all of them.
const { readdirSync } = require('node:fs')
const { createHook } = require('node:async_hooks')
const childProcess = require('node:child_process')

const pendingTimers = new Set()
createHook({
  init: (id, type) => type === 'Timeout' && pendingTimers.add(id),
  destroy: (id) => pendingTimers.delete(id),
}).enable()

let programs = 0
const { spawn } = childProcess.ChildProcess.prototype
childProcess.ChildProcess.prototype.spawn = function (...given) {
  programs++
  return spawn.apply(this, given)
}

async function held() {
  // A destroyed timer is reported to the hook in a later turn of the loop.
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    timers: pendingTimers.size,
    programs,
    environment: JSON.stringify(process.env),
    listeners: process.eventNames().length,
  }
}

async function round() {
  const { loadPidusage } = require('../../../../dist/system/usage.js')
  const { cpuSampler, memorySampler } = require('../../../../dist/system/usage.js')
  const { ownCpuTime, processUsage } = require('../../../../dist/system/usage.js')
  const cpuTime = ownCpuTime((why) => {
    throw new Error(why)
  }, loadPidusage())
  const samplers = [cpuSampler(cpuTime), memorySampler()]
  for (const sampler of samplers) await sampler.sample()
  const usage = await processUsage([process.ppid, process.pid])
  return { source: cpuTime.source, rssBytes: usage.get(process.pid).rssBytes }
}

async function main() {
  const before = await held()
  const { source, rssBytes } = await round()
  const after = await held()
  for (let count = 1; count < 100; count++) await round()
  console.log(JSON.stringify({ source, rssBytes, before, after, afterMany: await held() }))
}
main()
