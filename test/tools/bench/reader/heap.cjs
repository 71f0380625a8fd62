'use strict'
// Fills a heap until its snapshot has about that size, and writes it: node heap.cjs <MB> <file>
const { EventEmitter } = require('node:events')
const { statSync, unlinkSync } = require('node:fs')
const { writeHeapSnapshot } = require('node:v8')

const [, , megabytes, file] = process.argv
const PROBE = 20_000

class Order {
  constructor(number) {
    this.number = number
    this.customer = `customer ${number % 5000} ${number}`
    this.lines = [
      { article: `article ${number % 300}`, price: number / 7 },
      { article: 'delivery', price: 4.5 },
    ]
    this.placedAt = new Date(number)
  }
}

const orders = new Map()
const shop = new EventEmitter()
shop.setMaxListeners(0)

function place(number) {
  const order = new Order(number)
  orders.set(number, order)
  // A listener that is never removed, of one in ten.
  if (number % 10 === 0) shop.on('shipped', () => order.placedAt)
}

function fillTo(count) {
  while (orders.size < count) place(orders.size)
}

function sizeOf() {
  writeHeapSnapshot(file)
  const { size } = statSync(file)
  unlinkSync(file)
  return size
}

const empty = sizeOf()
fillTo(PROBE)
const each = (sizeOf() - empty) / PROBE
fillTo(Math.round((Number(megabytes) * 1e6 - empty) / each))
writeHeapSnapshot(file)
