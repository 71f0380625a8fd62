// Bundles what runs in an application: one file for each entry and each thread, in place of the module that tsc has put there.
// Reading a hundred files takes longer than running them. Code that a start does not need stays in its wrapper until a late
// require() of it. Names and lines are kept, so that stack traces can be read.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Each entry, and the names of its `import { name }`, which Node finds in the text of a CommonJS file. */
const ENTRIES = {
  index: [],
  'cluster/index': ['run'],
  'cluster/orphan-thread': [],
  'doctor/index': [],
  'hooks/metrics/index': [],
  'thread/watchdog-thread': [],
  'hooks/redis/index': ['redisBudget', 'openFleet'],
  'hooks/s3/index': ['uploadTo'],
  'hooks/s3/upload-thread': [],
}

for (const [entry, names] of Object.entries(ENTRIES)) {
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
    // Never run: a bundle hides the assignments.
    footer: { js: names.map((name) => `0 && (exports.${name} = 0)`).join('\n') },
    logLevel: 'warning',
  })
}
