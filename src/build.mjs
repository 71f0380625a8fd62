// Bundles what runs in an application: one file for each entry and each thread, in place of the module that tsc has put there.
// Reading a hundred files takes longer than running them. Code that a start does not need stays in its wrapper until a late
// require() of it; that of `index`, which every process starts, is a file of its own, because V8 would have to scan it. Names and
// lines are kept, so that stack traces can be read.
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/**
 * Each entry. `exports`: the names of its `import { name }`, which Node finds in the text of a CommonJS file. `opens`: the files and
 * folders that it opens by path, which @vercel/nft finds in the text; it copies an application file by file.
 */
const ENTRIES = {
  index: { opens: ['thread/watchdog-thread.js', '../prebuilds'] },
  'cluster/index': { exports: ['run'], opens: ['orphan-thread.js', '../../prebuilds'] },
  'cluster/orphan-thread': {},
  'doctor/index': {},
  'hooks/metrics/index': {},
  'hooks/redis/index': { exports: ['redisBudget', 'openFleet'] },
  'hooks/s3/index': { exports: ['uploadTo'], opens: ['upload-thread.js'] },
  'hooks/s3/upload-thread': {},
  'thread/watchdog-thread': {},
}
const LATE_ENTRY = 'index-late'
/** Loaded by a late require() of `index`, but part of each start by `register`. */
const NOT_LATE = ['src/monitor/preload.ts']

for (const [entry, { exports = [], opens = [] }] of Object.entries(ENTRIES)) {
  // Never run: a bundle hides the assignments and the paths.
  const texts = [
    ...exports.map((name) => `0 && (exports.${name} = 0)`),
    ...opens.map((path) => `;() => { __dirname + '/${path}' }`),
  ]
  const footer = { js: texts.join('\n') }
  if (entry === 'index') await bundleInTwo(entry, LATE_ENTRY, { footer })
  else await bundle(entry, { footer })
}

function bundle(entry, options) {
  return build({
    absWorkingDir: root,
    ...(!options.stdin && { entryPoints: [`src/${entry}.ts`] }),
    outfile: `dist/${entry}.js`,
    allowOverwrite: true,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    packages: 'external',
    sourcemap: 'linked',
    legalComments: 'none',
    logLevel: 'warning',
    ...options,
  })
}

/**
 * Bundles an entry into two files. The first has the modules that a start needs, the second those that only a late require()
 * reaches. A module has one copy, for some have state: the second file gets those of the first from a table.
 */
async function bundleInTwo(entry, lateEntry, options) {
  const late = new Set()
  const inBundle = (shared) => [lateRequires(late, `./${lateEntry}.js`), tableOf(shared)]
  const { metafile } = await bundle(entry, {
    ...options,
    plugins: inBundle([]),
    metafile: true,
    write: false,
  })
  const shared = Object.keys(metafile.inputs).filter((path) => path.startsWith('src/'))
  await bundle(entry, { ...options, plugins: inBundle(shared) })
  await bundle(lateEntry, { stdin: lateModules([...late]), plugins: [fromTable(shared)] })
}

/** In the first file: a late require() loads the second one. The paths of what it asks for are added to `late`. */
function lateRequires(late, file) {
  return {
    name: 'late-requires',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\./, namespace: 'file' }, ({ kind, path, resolveDir }) => {
        const module = relative(root, `${join(resolveDir, path)}.ts`)
        if (kind !== 'require-call' || NOT_LATE.includes(module)) return undefined
        late.add(module)
        return { path: module, namespace: 'late' }
      })
      onLoad({ filter: /./, namespace: 'late' }, ({ path }) => ({
        contents: `module.exports = require('${file}').load('${path}', require('table'))`,
      }))
      onResolve({ filter: /./, namespace: 'late' }, ({ path }) =>
        path === 'table' ? { path, namespace: 'table' } : { path, external: true },
      )
    },
  }
}

/** The table of the modules in the first file, each run when it is asked for. */
function tableOf(shared) {
  return {
    name: 'table',
    setup({ onLoad }) {
      onLoad({ filter: /./, namespace: 'table' }, () => ({
        contents: `module.exports = ${tableText(shared)}`,
        resolveDir: root,
      }))
    },
  }
}

function lateModules(late) {
  const contents = `const modules = ${tableText(late)}
exports.load = (path, table) => {
  require('table').of = table
  return modules[path]()
}`
  return { contents, resolveDir: root }
}

/** In the second file: a module of the first one comes from the table. */
function fromTable(shared) {
  return {
    name: 'from-table',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\./, namespace: 'file' }, ({ path, resolveDir }) => {
        const module = relative(root, `${join(resolveDir, path)}.ts`)
        return shared.includes(module) ? { path: module, namespace: 'shared' } : undefined
      })
      onLoad({ filter: /./, namespace: 'shared' }, ({ path }) => ({
        contents: `module.exports = require('table').of['${path}']()`,
      }))
      onResolve({ filter: /^table$/ }, ({ path }) => ({ path, namespace: 'table' }))
      onLoad({ filter: /./, namespace: 'table' }, () => ({ contents: '' }))
    },
  }
}

function tableText(paths) {
  return `{\n${paths.map((path) => `  '${path}': () => require('./${path}'),\n`).join('')}}`
}
