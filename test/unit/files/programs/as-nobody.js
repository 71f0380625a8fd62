// Tries, as a user who owns nothing, to write to a directory of another user: prints what came of it.
const { basename } = require('node:path')
const { openArtefact } = require('../../../../dist/files/artefact.js')
const { whyNotWritable } = require('../../../../dist/files/directory.js')
const { deleteExpired, sweepStalePartials } = require('../../../../dist/files/retention.js')

const [directory, host, about] = process.argv.slice(2)
const NOBODY = 65534
process.setgid(NOBODY)
process.setuid(NOBODY)

function open() {
  try {
    const name = `cpu-${process.pid}-${Date.now()}.cpuprofile`
    return basename(openArtefact(directory, name, JSON.parse(about)).target.file)
  } catch (error) {
    return error.code
  }
}

async function main() {
  const why = whyNotWritable(directory) ?? 'writable'
  const opened = open()
  const expired = await deleteExpired(directory, host, { keep: 0 })
  const swept = await sweepStalePartials(directory, host, Date.now())
  console.log(JSON.stringify({ why, opened, deleted: [...expired.deleted, ...swept.deleted] }))
}

void main()
