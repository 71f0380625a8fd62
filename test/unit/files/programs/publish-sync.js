// Publishes as a forked child would: V8 writes through the open file, then everything happens in one turn.
// node publish-sync.js <directory> <heapsnapshot name> <about as JSON> [<file to write instead of a snapshot>]
const { copyFileSync } = require('node:fs')
const { writeHeapSnapshot } = require('node:v8')
const { openArtefact, reopenArtefact } = require('../../../../dist/files/artefact.js')

const [directory, fileName, about, instead] = process.argv.slice(2)

// As plain data: the child has nothing else.
const plain = JSON.parse(JSON.stringify(openArtefact(directory, fileName, JSON.parse(about)).partial))
try {
  const open = reopenArtefact(plain)
  if (instead) copyFileSync(instead, open.writePath)
  else writeHeapSnapshot(open.writePath)
  console.log(JSON.stringify(open.publishNow({ way: 'fork', passedOver: [], pauseMs: 1, durationMs: 2 })))
} catch (error) {
  console.log(JSON.stringify({ error: error.message }))
}
