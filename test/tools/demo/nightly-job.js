'use strict'
// A job that loads every order line at once, which its heap cannot hold. The call below is all that a real job would have to add.
const cpuMemoryMonitor = require('cpu-memory-monitor')

cpuMemoryMonitor({ memory: {}, profileDir: process.argv[2] })

class OrderLine {
  constructor(number) {
    this.number = number
    this.article = `article ${number % 1000}`
    this.price = number / 100
  }
}

const orderLines = []

function loadOrderLines() {
  for (let number = 0; ; number++) orderLines.push(new OrderLine(number))
}

setTimeout(loadOrderLines, 500)
