// Bundles what runs in an application: one file for each entry and each thread, in place of the module that tsc has put there.
// Reading a hundred files takes longer than running them. Code that a start does not need stays in its wrapper until a late
// require() of it. Names and lines are kept, so that stack traces can be read.
import { dirname, join } from 'node:path'
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

for (const [entry, { exports = [], opens = [] }] of Object.entries(ENTRIES)) {
  // Never run: a bundle hides the assignments and the paths.
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
