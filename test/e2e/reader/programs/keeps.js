'use strict'
// Keeps arrays, listeners with their variables and contexts of vm, and writes a heap snapshot: node keeps.js <file>
const { EventEmitter } = require('node:events')
const { writeHeapSnapshot } = require('node:v8')
const vm = require('node:vm')

class Row {
  constructor(key) {
    this.key = key
  }
}

class Order {
  constructor() {
    this.lines = new Array(2000).fill(0.5)
  }
}

const rows = Array.from({ length: 20_000 }, (_, at) => new Row(at))
const prices = Array.from({ length: 40_000 }, (_, at) => at + 0.5)
const byKey = new Map(rows.map((row) => [`key ${row.key}`, row]))
const upload = Buffer.alloc(900_000)
const feed = new EventEmitter()
feed.setMaxListeners(0)

function subscribe(user) {
  const page = new Array(2000).fill(user + 0.5)
  feed.on('price', function onPrice() {
    return page.length
  })
}
for (let user = 0; user < 50; user += 1) subscribe(user)

for (let at = 0; at < 20; at += 1) {
  const order = new Order()
  feed.on('order', () => order)
}

const plugins = Array.from({ length: 3 }, () =>
  vm.runInContext('(function plugin() {})', vm.createContext({ settings: new Array(5000).fill(1) })),
)

writeHeapSnapshot(process.argv[2])
console.log('written')
globalThis.kept = () => [rows, prices, byKey, upload, plugins]
