'use strict'
// Uses the CPU in one way: node busy.cjs <shape> [wait]. With `wait` it stays, and `run()` is a global.
const { pbkdf2Sync } = require('node:crypto')
const { setTimeout: pause } = require('node:timers/promises')
const { runInThisContext } = require('node:vm')
const { Worker } = require('node:worker_threads')

const BUSY_MS = 1000

/** Calls a function until the time is over. */
function untilOver(work) {
  const end = performance.now() + BUSY_MS
  while (performance.now() < end) work()
}

function searchForPrimes() {
  let found = 0
  for (let candidate = 3; found < 20_000; candidate += 2) {
    let divisor = 3
    while (divisor * divisor <= candidate && candidate % divisor !== 0) divisor += 2
    if (divisor * divisor > candidate) found++
  }
  return found
}

function fibonacci(number) {
  return number < 2 ? number : fibonacci(number - 1) + fibonacci(number - 2)
}

function isAddress(text) {
  return /^(?:a+)+$/.test(text)
}

function hashPassword() {
  return pbkdf2Sync('secret', 'salt', 100_000, 64, 'sha512')
}

const orders = Array.from({ length: 5000 }, (_, number) => ({
  number,
  lines: [number, { price: number / 7 }],
}))

function saveOrders() {
  return JSON.stringify(orders)
}

function byPrice(one, other) {
  let weight = 0
  for (let at = 0; at < 60; at++) weight += (one * at) % 7
  return one - other + weight * 0
}

function sortPrices() {
  return Array.from({ length: 5000 }, (_, at) => (at * 7919) % 5003).sort(byPrice)
}

/** Thirty functions, each with a line of its own and as much to do as any other. */
const steps = runInThisContext(
  `[${Array.from(
    { length: 30 },
    (_, number) => `function step${number}() {
      let sum = ${number}
      for (let at = 0; at < 100000; at++) sum = (sum + at * (at % 97)) % 1000003
      return sum
    }`,
  )}]`,
  { filename: 'steps.js' },
)

function takeAllSteps() {
  for (const step of steps) step()
}

let kept = []

function collectGarbage() {
  kept = []
  for (let at = 0; at < 300_000; at++) kept.push({ at, next: kept[at - 1] })
}

const shapes = {
  primes: () => untilOver(searchForPrimes),
  recursion: () => untilOver(() => fibonacci(25)),
  'regular-expression': () => isAddress(`${'a'.repeat(26)}!`),
  password: () => untilOver(hashPassword),
  json: () => untilOver(saveOrders),
  sort: () => untilOver(sortPrices),
  garbage: () => untilOver(collectGarbage),
  flat: () => untilOver(takeAllSteps),
  idle: () => pause(2 * BUSY_MS),
  async asynchronous() {
    for (let at = 0; at < 20; at++) {
      await null
      searchForPrimes()
    }
  },
  worker: () => new Worker(__filename, { argv: ['primes'] }),
}

const [, , shape, wait] = process.argv
globalThis.run = shapes[shape]
if (wait === undefined) void globalThis.run()
else setInterval(() => undefined, 1000)
