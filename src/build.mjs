// Bundles the code for applications with esbuild: one file for each entry and each thread replaces the module that tsc wrote to
// dist. At start, reading a hundred files would take longer than running them. A module that only a late require() reaches runs
// when that call is made. It is in the same file, although V8 needs 4 ms to scan it there: a file that is read later is read by an
// application whose prototypes a request can have polluted by then. Nothing is minified, so that stack traces can be read.
import { dirname, join } from 'node:path'
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

for (const [entry, { exports = [], opens = [] }] of Object.entries(ENTRIES)) {
  // Lines for Node and @vercel/nft, which search this text and cannot see exports and paths in bundled code. They do nothing.
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
    footer: { js: texts.join('\n') },
    logLevel: 'warning',
  })
}
