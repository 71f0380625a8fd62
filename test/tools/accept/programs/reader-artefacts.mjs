import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { recordPage } from './in-chromium.mjs'
import { nodeOf } from './on-each-node.mjs'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const busy = here('busy.cjs')
const hoards = here('hoards.cjs')

/** Each with its name, and how to make it: `make(directory)` gives its path, whose ending is its kind. */
export const ARTEFACTS = [
  ...['primes', 'regular-expression', 'garbage'].map((shape) => cpuProf('20', shape)),
  ...['json', 'idle'].map((shape) => cpuProf('22', shape)),
  ...['password', 'flat', 'worker'].map((shape) => cpuProf('24', shape)),
  ...['sort', 'asynchronous'].map((shape) => cpuProf('26', shape)),
  heapProf('20', 'sessions'),
  heapProf('22', 'uploads'),
  heapProf('24', 'rows'),
  heapProf('26', 'visits'),
  snapshot('20', 'sessions'),
  snapshot('20', 'worker'),
  snapshot('22', 'jobs'),
  snapshot('24', 'listeners'),
  snapshot('26', 'promises'),
  snapshot('26', 'nothing'),
  atHeapLimit('20'),
  atHeapLimit('24'),
  inspected('24', 'primes', 'cpuprofile', busy),
  inspected('26', 'uploads', 'heapsnapshot', hoards),
  page('chart', 'cpuprofile'),
  page('cache', 'heapprofile'),
  page('cache', 'heapsnapshot'),
  page('detached', 'heapsnapshot'),
  rebuilt('parents instead of children', withParents),
  inspected('24', 'rows', 'heapprofile', hoards),
]

/** `node --cpu-prof`; of a program with a worker thread, the worker's. */
function cpuProf(major, shape) {
  return {
    name: `Node ${major} --cpu-prof ${shape}`,
    make: (directory) =>
      made(directory, '.cpuprofile', (folder) =>
        node(major, ['--cpu-prof', `--cpu-prof-dir=${folder}`, busy, shape]),
      ),
  }
}

function heapProf(major, shape) {
  return {
    name: `Node ${major} --heap-prof ${shape}`,
    make: (directory) =>
      made(directory, '.heapprofile', (folder) =>
        node(major, [
          '--heap-prof',
          `--heap-prof-dir=${folder}`,
          '--heap-prof-interval=32768',
          hoards,
          shape,
        ]),
      ),
  }
}

function snapshot(major, shape) {
  return {
    name: `Node ${major} writeHeapSnapshot ${shape}`,
    make: (directory) =>
      made(directory, '.heapsnapshot', (folder) =>
        node(major, [hoards, shape, join(folder, 'a.heapsnapshot')]),
      ),
  }
}

function atHeapLimit(major) {
  return {
    name: `Node ${major} --heapsnapshot-near-heap-limit`,
    make: (directory) =>
      made(directory, '.heapsnapshot', (folder) =>
        node(
          major,
          [
            '--max-old-space-size=40',
            '--heapsnapshot-near-heap-limit=1',
            `--diagnostic-dir=${folder}`,
            hoards,
            'endless',
          ],
          { mayFail: true },
        ),
      ),
  }
}

function inspected(major, shape, kind, program) {
  return {
    name: `Node ${major} --inspect ${kind} ${shape}`,
    make: (directory) =>
      made(directory, `.${kind}`, (folder) =>
        node(major, [here('over-inspect.mjs'), join(folder, `a.${kind}`), program, shape]),
      ),
  }
}

function page(name, kind) {
  return {
    name: `Chromium ${kind} ${name}`,
    make: (directory) => made(directory, `.${kind}`, (folder) => recordPage(name, join(folder, `a.${kind}`))),
  }
}

/** A CPU profile in another form. */
function rebuilt(name, change) {
  return {
    name: `rebuilt: ${name}`,
    make: async (directory) => {
      const file = await cpuProf('20', 'recursion').make(directory)
      writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')))))
      return file
    },
  }
}

function withParents({ nodes, ...rest }) {
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])))
  const changed = nodes.map((node) => ({ ...node, parent: parents.get(node.id), children: undefined }))
  return { ...rest, nodes: changed }
}

let count = 0

/** Runs `write` with an empty directory; gives the file of that kind that it has left, the last by thread. */
async function made(directory, ending, write) {
  const folder = join(directory, String(count++))
  mkdirSync(folder)
  await write(folder)
  const name = readdirSync(folder)
    .filter((each) => extname(each) === ending)
    .sort()
    .at(-1)
  if (name === undefined) throw new Error(`nothing ends in ${ending}`)
  const file = join(folder, `artefact${ending}`)
  renameSync(join(folder, name), file)
  return file
}

function node(major, args, { mayFail = false } = {}) {
  const { status, signal, stderr } = spawnSync(nodeOf(major), args, {
    encoding: 'utf8',
    timeout: 120_000,
    killSignal: 'SIGKILL',
  })
  if (status !== 0 && !mayFail) throw new Error(`Node ${major}: ${signal ?? `code ${status}`}: ${stderr}`)
}
