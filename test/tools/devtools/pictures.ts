import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { install } from '../bench/peers'

/** Installed on first use, as the peers of the benchmarks are. */
const UPNG = 'upng-js@2.1.0'
const COLOURS = 256
/** Of text and bars alone. */
export const FEW_COLOURS = 16
/** They are part of the package. */
const MAX_BYTES = 60_000

const repository = resolve(__dirname, '../../..')
const docs = join(repository, 'docs')

/**
 * Copies a file of the demo, and its description if it has one. Where the repository lies on the machine on which the
 * pictures are taken is of no interest to readers: the demo, and the programs of the tests, are `/app` in them.
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
      .replaceAll(join(repository, 'test/e2e/monitor/programs'), '/app')
      .replaceAll(repository, '/app/node_modules/cpu-memory-monitor')
    writeFileSync(join(into, entry), text)
  }
  copy(file)
  if (readdirSync(folder).includes(`${file}.json`)) copy(`${file}.json`)
  return join(into, file)
}

/** As much of the library as is used here. */
interface Upng {
  decode(png: ArrayBuffer): { width: number; height: number }
  toRGBA8(image: object): ArrayBuffer[]
  encode(frames: readonly ArrayBuffer[], width: number, height: number, colours: number): ArrayBuffer
}

/** Puts a picture into docs/, with 256 colours: less than half of the bytes of a screenshot, and no difference to see. */
export function savePicture(name: string, screenshot: Buffer, colours = COLOURS): void {
  const upng = loadUpng()
  const image = upng.decode(new Uint8Array(screenshot).buffer)
  const picture = Buffer.from(upng.encode(upng.toRGBA8(image), image.width, image.height, colours))
  if (picture.length > MAX_BYTES) throw new Error(`${name} has ${picture.length} bytes`)
  mkdirSync(docs, { recursive: true })
  writeFileSync(join(docs, name), picture)
  console.log(`docs/${name}: ${picture.length} bytes`)
}

function loadUpng(): Upng {
  const installed = install(UPNG)
  if ('reason' in installed) throw new Error(`${UPNG}: ${installed.reason}`)
  return createRequire(join(installed.modules, 'x.js'))('upng-js') as Upng
}
