// Builds the JavaScript that applications load: esbuild bundles each entry of the package, and the code of each thread, into one
// file in dist, which replaces the module that tsc wrote there. Without bundles, a start would take most of its time to read a
// hundred files. A bundle also contains the modules that are required late. V8 needs 4 ms to scan them at the start, and runs
// them when require() is called. Separate files would be read late, when a request can already have polluted prototypes of the
// application. Nothing is minified, so that stack traces stay readable.
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/**
 * The modules to bundle, as paths in src without extension. `exports`: names that ES modules can import. Node finds such names
 * by a search of the CommonJS file's text. `opens`: files and folders that the module opens, as paths relative to its own folder.
 * The tool @vercel/nft, which copies the files that an application needs, also finds them by a search of the text.
 */
const ENTRIES = {
  index: { opens: ['../prebuilds'] },
  'capture/heap/limit/job': {},
  'monitor/start/start': { opens: ['../../thread/watchdog-thread.js', '../../../prebuilds'] },
  'cluster/index': { exports: ['run'], opens: ['orphan-thread.js', '../../prebuilds'] },
  'cluster/orphan-thread': {},
  'doctor/index': {},
  'hooks/metrics/index': {},
  'hooks/redis/index': { exports: ['redisBudget', 'openFleet'] },
  'hooks/s3/index': { exports: ['uploadTo'], opens: ['upload-thread.js'] },
  'hooks/s3/upload-thread': {},
  'thread/watchdog-thread': {},
}

/**
 * Modules that stay files of their own, by the bundle that loads them. `monitor/start/start` is loaded when the event loop turns
 * for the first time, and the code of the child at V8's heap limit, until then, in that child. The other two have saved globals
 * and timers before the application could replace them, so these bundles must share one copy of each.
 */
const SHARED = ['base/globals', 'base/time']
const APART = {
  index: ['monitor/start/start', 'capture/heap/limit/job', ...SHARED],
  'monitor/start/start': SHARED,
  'capture/heap/limit/job': SHARED,
}

/** Leaves modules out of a bundle, which then loads them by `require()`. */
const leaveOut = (entry, modules) => ({
  name: 'leave-out',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
      const module = relative(join(root, 'src'), join(resolveDir, path)).replaceAll(sep, '/')
      if (!modules.includes(module)) return undefined
      const file = relative(dirname(join(root, 'src', entry)), join(root, 'src', `${module}.js`))
      return { path: file.startsWith('.') ? file : `./${file}`, external: true }
    }),
})

for (const [entry, { exports = [], opens = [] }] of Object.entries(ENTRIES)) {
  // Lines in which Node and @vercel/nft find these names and paths. They cannot find them in bundled code. The lines do nothing.
  const texts = [
    ...exports.map((name) => `0 && (exports.${name} = 0)`),
    ...opens.map((path) => `;() => { __dirname + '/${path}' }`),
  ]
  await build({
    absWorkingDir: root,
    entryPoints: [`src/${entry}.ts`],
    outfile: `dist/${entry}.js`,
    allowOverwrite: true,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    packages: 'external',
    sourcemap: 'linked',
    legalComments: 'none',
    plugins: [leaveOut(entry, APART[entry] ?? [])],
    footer: { js: texts.join('\n') },
    logLevel: 'warning',
  })
}
