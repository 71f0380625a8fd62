// Holds objects whose texts nobody else should read.
const { obey, start } = require('./stage')

class Customer {
  constructor(number) {
    this.note = Buffer.from(`pin of customer ${number}`).toString('latin1')
    this.number = number
  }
}

globalThis.customers = Array.from(
  { length: Number(process.argv[3] ?? 2000) },
  (_, number) => new Customer(number),
)

const monitor = start()
obey({ dumpMemory: () => monitor.dumpMemory() })
