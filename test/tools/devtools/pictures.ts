import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const MAX_BYTES = 150_000

const repository = resolve(__dirname, '../../..')
const docs = join(repository, 'docs')

/**
 * Copies a file of the demo, and its description if it has one. Where the repository lies on the machine on which the
 * pictures are taken is of no interest to readers: the demo is `/app` in them.
 *
 * @param name - Matches the name of one file of the folder.
 */
export function neutralCopy(folder: string, name: RegExp, into: string): string {
  const found = readdirSync(folder).filter((entry) => name.test(entry))
  const [file] = found
  if (file === undefined || found.length > 1)
    throw new Error(`${folder} has ${found.length} files ${name.source}`)
  const copy = (entry: string): void => {
    const text = readFileSync(join(folder, entry), 'utf8')
      .replaceAll(join(repository, 'test/tools/demo'), '/app')
      .replaceAll(repository, '/app/node_modules/cpu-memory-monitor')
    writeFileSync(join(into, entry), text)
  }
  copy(file)
  if (readdirSync(folder).includes(`${file}.json`)) copy(`${file}.json`)
  return join(into, file)
}

/** Puts a picture into docs/. */
export function savePicture(name: string, picture: Buffer): void {
  if (picture.length > MAX_BYTES) throw new Error(`${name} has ${picture.length} bytes`)
  mkdirSync(docs, { recursive: true })
  writeFileSync(join(docs, name), picture)
  console.log(`docs/${name}: ${picture.length} bytes`)
}
