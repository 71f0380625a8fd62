import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'

/**
 * Which rooms each room may import from. A room is a folder of src without its sub-rooms; a single file can be a floor of
 * its own. `*` at the end of a name stands for its sub-rooms as well. docs/contributing.md says what each room is for.
 */
const FLOORS: Record<string, readonly string[]> = {
  base: [],
  options: ['base', 'dispatch/budget', 'report/listeners'],
  system: ['base'],
  // Asks the helper, to which alone the kernel says whose a socket is.
  'system/turn': ['base', 'system', 'capture/heap/fork/helper'],
  // Asks who can change the directories of PATH.
  'system/usage': ['base', 'system', 'files/owners'],
  makeup: ['base'],
  files: ['base', 'makeup'],
  // Asks when the process began whose number a file has, to tell whether it is the writer of that file.
  'files/retention': ['base', 'files', 'system/proc'],
  // Artefacts without the data of the application: for the command line, the monitor's own files, and what is sent.
  redact: ['base'],
  capture: ['base', 'system', 'files', 'capture/thread-limit'],
  // Asks the helper, which alone can try it.
  'capture/thread-limit': ['base', 'system', 'capture/heap/fork/helper'],
  'capture/main-thread': [
    'base',
    'files',
    'capture',
    'capture/heap/fork/helper',
    'capture/heap/allocation-sites',
  ],
  'capture/cpu': [
    'base',
    'system',
    'files',
    'capture',
    'capture/main-thread',
    'capture/threads',
    'capture/thread-limit',
  ],
  // Profiles of worker threads, beside that of the main thread.
  'capture/threads': ['base', 'capture/main-thread', 'capture/cpu'],
  'capture/heap': [
    'base',
    'files',
    'redact',
    'capture',
    'capture/main-thread',
    'capture/threads/worker-sessions',
    'capture/heap/fork',
  ],
  'capture/heap/fork': ['base', 'system', 'files', 'capture', 'capture/main-thread', 'capture/heap'],
  'capture/heap/limit': [
    'base',
    'system',
    'files',
    'capture',
    'capture/main-thread',
    'capture/heap',
    'capture/heap/fork',
  ],
  // What the main thread does when an order arrives; it knows all ways of capturing, and therefore stands above them.
  'capture/main-thread/carry-out': ['base', 'files', 'capture*'],
  // Hands orders to the above without a thread in between.
  'capture/main-thread/direct': ['base', 'capture/main-thread*'],
  dispatch: ['base', 'files', 'makeup', 'capture*'],
  report: ['base', 'makeup', 'dispatch/events'],
  watch: ['base', 'system', 'files', 'makeup', 'capture*', 'dispatch'],
  thread: ['base', 'system', 'makeup', 'capture*', 'dispatch', 'watch'],
  leak: ['base', 'files', 'capture*', 'dispatch'],
  monitor: [
    'base',
    'options',
    'files',
    'capture*',
    'dispatch',
    'watch',
    'report',
    'doctor/at-start',
    'hooks/s3/declared',
    'monitor/start',
  ],
  'monitor/start': [
    'base',
    'system',
    'makeup',
    'capture*',
    'dispatch',
    'watch',
    'thread',
    'leak',
    'report',
    'monitor',
  ],
  // Asks a monitor what it has found.
  doctor: ['base', 'system', 'files', 'capture*', 'dispatch', 'report', 'monitor*'],
  // Entries of their own; nothing else imports them.
  'hooks/metrics': ['monitor/monitor', 'cluster/handle', 'capture/engines'],
  'cluster/plan': ['base'],
  'cluster/drain': ['base', 'report', 'cluster/plan'],
  'cluster/dump': ['base', 'system', 'files', 'capture*', 'dispatch', 'report', 'cluster/handle'],
  cluster: ['base', 'options', 'system', 'files', 'capture*', 'dispatch', 'report', 'cluster*'],
  // Loaded by an application that sends its dumps there. Of the monitor's settings it has the declaration of options.
  'hooks/s3': [
    'base',
    'options',
    'system/turn',
    'files',
    'makeup',
    'redact',
    'capture/engines',
    'capture/own-package',
    'capture/thread-limit',
    'dispatch/events',
    'report',
    'monitor/declared',
  ],
  // The command line; the monitor loads nothing of it.
  // What it writes lies in a directory that may be another user's.
  // It looks nothing up on another machine because a file says so.
  // It asks whose a file is.
  reader: [
    'base/own-user',
    'files/directory',
    'files/names',
    'files/owners',
    'system/mounts',
    'makeup',
    'reader*',
    'doctor/index',
  ],
  'reader/output': ['reader'],
  'reader/page': ['reader', 'reader/output'],
  'reader/profile': ['reader'],
  'reader/snapshot': ['reader', 'reader/profile', 'redact', 'files/directory', 'files/disk', 'files/scratch'],
  // Entries of their own; the monitor loads nothing of them unless they are asked for.
  'hooks/redis': [
    'base',
    'options',
    'dispatch',
    'capture/engines',
    'capture/own-package',
    'monitor/declared',
  ],
  '': ['monitor*', 'options', 'dispatch', 'report', 'makeup'],
}

/** Decide only: no Node, no clock, nothing global, and imports of other pure files alone; types may come from anywhere. */
const PURE = [
  'base/thread-figures',
  'capture/heap/fork/verdict',
  'capture/room',
  'capture/threads/busy',
  'cluster/plan/*',
  'dispatch/threshold-rule',
  'files/expiry',
  'files/names',
  'hooks/metrics/series',
  'hooks/s3/declared',
  'hooks/s3/key',
  'leak/confirmation',
  'leak/trend',
  'makeup/makeup',
  'makeup/memory',
  'makeup/recorder',
  'makeup/roster',
  'makeup/threads',
  'redact/names',
  'thread/beat-watch',
]

const IMPURE_GLOBALS = new Set([
  ...['process', 'Buffer', 'Date', 'performance', 'globalThis', 'require', 'queueMicrotask', 'console'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate'],
])

const src = join(__dirname, '../src')

interface Source {
  /** Path below src, without extension. */
  readonly name: string
  /** Files of src that it imports, type-only imports included. */
  readonly files: readonly string[]
  /** Those of them from which more than types is imported. */
  readonly loaded: readonly string[]
  /** Modules and packages that it imports. */
  readonly modules: readonly string[]
  readonly globals: readonly string[]
}

const sources = new Map(
  readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => read(file))
    .map((source) => [source.name, source]),
)

test('a file imports only from the rooms that its own room stands on', () => {
  const wrong = [...sources.values()].flatMap(({ name, files }) => {
    const floor = floorOf(name)
    const allowed = FLOORS[floor]
    assert.ok(allowed, `the room of src/${name} is not in the table`)
    return files
      .filter((file) => floorOf(file) !== floor && !allowed.some((room) => isIn(file, room)))
      .map((file) => `src/${name} imports src/${file}`)
  })
  assert.deepEqual(wrong, [])
})

test('no file imports itself by way of others', () => {
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (name: string, path: readonly string[]): void => {
    const start = path.indexOf(name)
    if (start >= 0) {
      cycles.push([...path.slice(start), name].join(' > '))
      return
    }
    if (done.has(name)) return
    for (const file of sources.get(name)?.files ?? []) visit(file, [...path, name])
    done.add(name)
  }
  for (const name of sources.keys()) visit(name, [])
  assert.deepEqual(cycles, [])
})

test('a pure file decides from its arguments alone', () => {
  const pure = [...sources.values()].filter(({ name }) => isPure(name))
  const wrong = pure.flatMap(({ name, loaded, modules, globals }) => [
    ...loaded.filter((file) => !isPure(file)).map((file) => `src/${name} imports src/${file}`),
    ...modules
      .filter((module) => module.startsWith('node:'))
      .map((module) => `src/${name} imports ${module}`),
    ...globals.map((global) => `src/${name} uses ${global}`),
  ])
  assert.deepEqual(wrong, [])
})

test('each entry of the two tables names something that exists', () => {
  const names = [...sources.keys()]
  const rooms = [...Object.keys(FLOORS), ...Object.values(FLOORS).flat()].filter((room) => room !== '')
  assert.deepEqual(
    [...new Set([...rooms, ...PURE])].filter((entry) => !names.some((name) => isIn(name, entry))),
    [],
  )
})

test('no folder has more than 13 files', () => {
  const counts = new Map<string, number>()
  for (const name of sources.keys())
    counts.set(posix.dirname(name), (counts.get(posix.dirname(name)) ?? 0) + 1)
  assert.deepEqual(
    [...counts].filter(([, count]) => count > 13),
    [],
  )
})

/** @returns The longest entry of the table that names the file or a folder above it. */
function floorOf(name: string): string {
  let room = name
  while (!(room in FLOORS) && room !== '') room = posix.dirname(room).replace(/^\.$/, '')
  return room
}

function isIn(file: string, room: string): boolean {
  if (room.endsWith('*')) {
    const folder = room.slice(0, -1).replace(/\/$/, '')
    return file.startsWith(`${folder}/`)
  }
  return file === room || posix.dirname(file) === room
}

function isPure(name: string): boolean {
  return PURE.some((entry) => isIn(name, entry))
}

function read(file: string): Source {
  const path = join(src, file)
  const name = relative(src, path).replace(/\.ts$/, '')
  const tree = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  const imported = new Set<string>()
  const loaded = new Set<string>()
  const globals = new Set<string>()
  const visit = (node: ts.Node): void => {
    const text = specifierOf(node)
    if (text !== undefined) imported.add(text)
    if (text !== undefined && !isTypeOnly(node)) loaded.add(text)
    if (ts.isIdentifier(node) && IMPURE_GLOBALS.has(node.text) && !isName(node)) globals.add(node.text)
    ts.forEachChild(node, visit)
  }
  visit(tree)
  const own = [...imported].filter((text) => text.startsWith('.'))
  return {
    name,
    files: own.map((text) => resolve(name, text)),
    loaded: own.filter((text) => loaded.has(text)).map((text) => resolve(name, text)),
    modules: [...imported].filter((text) => !text.startsWith('.')),
    globals: [...globals],
  }
}

function specifierOf(node: ts.Node): string | undefined {
  if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier)
    return (node.moduleSpecifier as ts.StringLiteral).text
  if (ts.isExternalModuleReference(node)) return (node.expression as ts.StringLiteral).text
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
    return (node.argument.literal as ts.StringLiteral).text
  const isCall =
    ts.isCallExpression(node) &&
    (node.expression.kind === ts.SyntaxKind.ImportKeyword || node.expression.getText() === 'require')
  const argument = isCall ? node.arguments[0] : undefined
  return argument && ts.isStringLiteral(argument) ? argument.text : undefined
}

function isTypeOnly(node: ts.Node): boolean {
  return ts.isImportTypeNode(node) || (ts.isImportDeclaration(node) && node.importClause?.isTypeOnly === true)
}

/** A property's or a declaration's name is no use of the global. */
function isName(node: ts.Identifier): boolean {
  const { parent } = node
  return (
    (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
    ((ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isParameter(parent)) &&
      parent.name === node)
  )
}

function resolve(from: string, text: string): string {
  const path = posix.join(posix.dirname(from), text)
  const name = [path, `${path}/index`].find((candidate) => readable(candidate))
  assert.ok(name, `src/${from} imports '${text}', which is no file of src`)
  return name
}

function readable(name: string): boolean {
  try {
    return readFileSync(join(src, `${name}.ts`)).length > 0
  } catch {
    return false
  }
}
