// One program with one guilty part, by the name in its second argument. Each stops growing before it hurts the machine.
const { pbkdf2 } = require('node:crypto')
const { execSync } = require('node:child_process')
const { Worker } = require('node:worker_threads')
const { obey, start } = require('./stage')

const MB = 1024 * 1024
const MOST_BYTES = 700 * MB

const inWorker = (name, text) => new Worker(text, { eval: true, name })
const calmWorker = () => inWorker('calm', 'setInterval(() => {}, 100)')

/** Works in slices: timers and beats go on. */
const inSlices = (work) => {
  const slice = () => {
    const end = Date.now() + 40
    while (Date.now() < end) work()
    setImmediate(slice)
  }
  slice()
}

/** In long strings, so that a snapshot is soon taken: its cost is in the number of objects. */
const fillMap = `
  class CachedPage {
    constructor(number) {
      this.text = Buffer.alloc(50_000, 97 + (number % 20)).toString('latin1')
    }
  }
  const map = new Map()
  const fill = () => {
    for (let count = 0; count < 20; count++) map.set(map.size, new CachedPage(map.size))
    if (map.size * 50_000 < ${MOST_BYTES}) setTimeout(fill, 20)
  }
  fill()`

const fillBuffers = `
  class CachedFile {
    constructor(number) {
      this.contents = Buffer.alloc(${2 * MB}, number % 256)
    }
  }
  const map = new Map()
  const fill = () => {
    map.set(map.size, new CachedFile(map.size))
    if (map.size * ${2 * MB} < ${MOST_BYTES}) setTimeout(fill, 20)
  }
  fill()`

const shapes = {
  'hot worker'() {
    calmWorker()
    inWorker(
      'resizer',
      'function resize() { let x = 0; for (let i = 0; i < 1e6; i++) x += Math.sqrt(i); return x }; for (;;) resize()',
    )
  },
  'hot pool'() {
    const hash = () => pbkdf2('secret', 'salt', 50_000, 64, 'sha512', hash)
    for (let at = 0; at < 8; at++) hash()
  },
  'hot main'() {
    let sum = 0
    inSlices(function calculate() {
      for (let at = 0; at < 1e5; at++) sum += Math.sqrt(at)
      return sum
    })
  },
  collections() {
    // Each object survives until it is old, and is linked to many others, so that the collector has most of the work.
    const live = Array.from({ length: 100_000 }, () => new Array(48))
    let place = 0
    inSlices(function churn() {
      for (let count = 0; count < 2000; count++) {
        place = (place + 7919) % live.length
        live[place] = new Array(48).fill(live[(place * 31) % live.length][0] ?? { count })
      }
    })
  },
  'child process': function renderPdf() {
    execSync('sleep 5')
  },
  'leaking worker'() {
    calmWorker()
    inWorker('cache', fillMap)
  },
  'leaking buffers of a worker'() {
    calmWorker()
    inWorker('cache', fillBuffers)
  },
  'leaking buffers'() {
    const kept = []
    const keep = () => {
      kept.push(Buffer.alloc(2 * MB, 1))
      if (kept.length * 2 * MB < MOST_BYTES) setTimeout(keep, 20)
    }
    keep()
  },
  'native memory'() {
    const kept = []
    const keep = () => {
      kept.push(new Uint8Array(new SharedArrayBuffer(2 * MB)).fill(1))
      if (kept.length * 2 * MB < MOST_BYTES) setTimeout(keep, 20)
    }
    keep()
  },
  'leaking main'() {
    class StaleOrder {
      constructor(number) {
        this.lines = Buffer.alloc(2000, 97 + (number % 20)).toString('latin1')
      }
    }
    const map = new Map()
    const fill = () => {
      for (let count = 0; count < 1000; count++) map.set(map.size, new StaleOrder(map.size))
      if (process.memoryUsage().heapUsed < MOST_BYTES) setTimeout(fill, 20)
    }
    fill()
  },
}

start()
obey({})
// After the first readings: those are of the boot.
setTimeout(shapes[process.argv[3]], 2500)
