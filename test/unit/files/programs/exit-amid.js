// Exits in the middle of a publish while the thread pool, of one thread, has its fsync still to do; a handler of the
// application opens files then. Prints what became of them.
// node exit-amid.js <directory> <profile> <about as JSON>        with UV_THREADPOOL_SIZE=1
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const { join } = require('node:path')
const { openArtefact } = require('../../../../dist/files/artefact.js')

const [directory, profile, about] = process.argv.slice(2)
const HOW = { way: 'inspector', passedOver: [], pauseMs: 1, durationMs: 2 }
const THEIRS = 'of the application\n'
const fifo = join(directory, 'fifo')
const behind = join(directory, 'behind')

execFileSync('mkfifo', [fifo])
const artefact = openArtefact(directory, 'cpu-7-1000.cpuprofile', JSON.parse(about))
artefact.write(profile)
// No process writes to it yet: the pool's thread waits here, the fsync behind it, and `behind` after that.
fs.open(fifo, 'r', () => undefined)
void artefact.publish(HOW)
fs.mkdir(behind, () => undefined)
process.on('exit', () => {
  artefact.publishNow(HOW)
  const theirs = ['a', 'b', 'c'].map((name) => fs.openSync(join(directory, name), 'w+'))
  for (const fd of theirs) fs.writeSync(fd, THEIRS)
  fs.openSync(fifo, 'r+')
  while (!fs.existsSync(behind));
  console.log(JSON.stringify(theirs.map((fd) => contentOf(fd) === THEIRS)))
})
process.exit(0)

function contentOf(fd) {
  const buffer = Buffer.alloc(1000)
  return buffer.toString('utf8', 0, fs.readSync(fd, buffer, 0, buffer.length, 0))
}
