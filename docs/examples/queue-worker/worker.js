'use strict'
const cpuMemoryMonitor = require('cpu-memory-monitor')

cpuMemoryMonitor({
  profileDir: './evidence',
  memory: { threshold: '200mb', counter: 3 },
  // In place of an upload: a promise may be returned.
  onDump: ({ files }) => console.log(`to be uploaded: ${files.join(', ')}`),
})

const { mkdirSync, readdirSync, readFileSync, renameSync } = require('node:fs')
const { join } = require('node:path')

for (const directory of ['jobs', 'done']) mkdirSync(directory, { recursive: true })
const rendered = [] // A leak: what is rendered is never let go.

setInterval(takeJobs, 500)
console.log('waits for files such as jobs/1.json')

/** Each job is a file, which is moved when it is done. */
function takeJobs() {
  for (const name of readdirSync('jobs').filter((name) => name.endsWith('.json'))) {
    const { pages } = JSON.parse(readFileSync(join('jobs', name), 'utf8'))
    for (let page = 0; page < pages; page += 1) rendered.push(Buffer.alloc(1_000_000, name))
    renameSync(join('jobs', name), join('done', name))
  }
}
