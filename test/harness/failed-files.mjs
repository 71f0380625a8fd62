// A reporter for node:test: one line for each test file in which a test failed.
import { relative } from 'node:path'

export default async function* failedFiles(events) {
  const files = new Set()
  for await (const { type, data } of events) {
    if (type !== 'test:fail' || data.todo !== undefined) continue
    // A file that does not even load fails as a test of its own, named by its path.
    files.add(relative(process.cwd(), data.file ?? data.name))
  }
  for (const file of files) yield `${file}\n`
}
