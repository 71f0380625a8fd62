// Bundles the code for applications with esbuild: one file for each entry and each thread replaces the module that tsc wrote to
// dist. At start, reading a hundred files would take longer than running them. A module that only a late require() reaches runs
// when that call is made. For `index`, which every process loads, such modules are in a second file, because V8 would have to scan
// them at start. Nothing is minified, so that stack traces can be read.
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/**
 * The entries. `exports`: names that an ES module can import, which Node searches in the text of a CommonJS file. `opens`: files and
 * folders that the entry opens by path. @vercel/nft, which copies the files that an application needs, searches them in the text.
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
/** Modules that `index` loads with a late require(), but that stay in the first file, because `register` needs them at start. */
const NOT_LATE = ['src/monitor/preload.ts']

for (const [entry, { exports = [], opens = [] }] of Object.entries(ENTRIES)) {
  // Lines for Node and @vercel/nft, which search this text and cannot see exports and paths in bundled code. They do nothing.
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
 * Bundles an entry into two files: the first has the modules that a start needs, the second those that only a late require()
 * reaches. Some modules have state and must exist only once, so the second file gets those of the first from a table.
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

/** Plugin for the first file: turns each late require() into a load from the second file, and adds its module to `late`. */
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

/** Plugin that adds the table of the first file's modules: for each path a function that runs the module on first use. */
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

/** Plugin for the second file: takes the modules that the first file contains from the table. */
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
