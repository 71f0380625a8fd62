// A service whose Object.prototype is polluted by one name after the other while it dumps: node polluted.js <options> <value> <names>
//
// It prints a line for each name: the name, and what became of a dump of each kind. A line that does not come within the time that
// the caller grants names what hangs.
const [, , options, value, names] = process.argv
const monitor = require('cpu-memory-monitor')({ logger: false, ...JSON.parse(options) })
const { writeSync } = require('node:fs')

const reason = (dump) => (Object.hasOwn(dump, 'file') ? 'file' : `${dump.skipped}: ${dump.message}`)

/** Nothing of this may read an object of the polluted prototype: strings only. */
function tell(name, cpu, memory) {
  writeSync(1, `${name}\t${cpu}\t${memory}\n`)
}

async function main() {
  for (const name of names.split(',')) {
    Object.prototype[name] = JSON.parse(value)
    const [cpu, memory] = [await monitor.dumpCpu(1), await monitor.dumpMemory()]
    delete Object.prototype[name]
    tell(name, reason(cpu), reason(memory))
  }
  process.exit()
}

setTimeout(main, 300)
