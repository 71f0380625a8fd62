// Bundles the reader (the command line tool) with its libraries into dist/reader, and writes their licences beside it:
// node src/reader/build.mjs
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const source = dirname(fileURLToPath(import.meta.url))
const root = join(source, '../..')
const out = join(root, 'dist/reader')

rmSync(out, { recursive: true, force: true })

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { cli: join(source, 'main.ts'), 'snapshot-child': join(source, 'snapshot/child.ts') },
  outdir: out,
  bundle: true,
  external: ['../doctor/index'],
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  sourcemap: 'linked',
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
})

// Bundles the script that the HTML page contains. keepNames, because d3-flame-graph recognises its own data by their class name.
const page = await build({
  absWorkingDir: root,
  entryPoints: { page: join(source, 'page/browser.ts') },
  outdir: out,
  bundle: true,
  platform: 'browser',
  target: 'es2020',
  format: 'iife',
  minify: true,
  keepNames: true,
  charset: 'ascii',
  legalComments: 'none',
  loader: { '.css': 'empty' },
  logLevel: 'warning',
  metafile: true,
})
copyFileSync(join(source, 'page/page.css'), join(out, 'page.css'))
if (/<\/script|<!--/i.test(readFileSync(join(out, 'page.js'), 'utf8')))
  throw new Error('page.js holds </script or <!--, which would end its <script> element early')

chmodSync(join(out, 'cli.js'), 0o755)
writeFileSync(
  join(out, 'LICENSES.txt'),
  licences([...new Set([...packagesIn(metafile), ...packagesIn(page.metafile)])].sort()),
)

/** Directories of the npm packages that went into a bundle. */
function packagesIn({ inputs, outputs }) {
  const used = new Set(Object.values(outputs).flatMap((output) => Object.keys(output.inputs)))
  const folders = Object.keys(inputs)
    .filter((input) => used.has(input))
    .flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? [])
  return [...new Set(folders)].sort()
}

function licences(folders) {
  return folders
    .map((folder) => {
      const directory = join(root, folder)
      const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
      const texts = licenceFiles(directory).map((file) => readFileSync(file, 'utf8').trim())
      if (texts.length === 0) throw new Error(`${folder} has no licence file`)
      return [`${name} ${version} (${license})`, ...texts].join('\n\n')
    })
    .join(`\n\n${'-'.repeat(80)}\n\n`)
    .concat('\n')
}

/** Licence files of a package, including those of third-party code that the package contains. */
function licenceFiles(directory) {
  const here = readdirSync(directory, { withFileTypes: true })
  const thirdParty = join(directory, 'thirdparty')
  return [
    ...here.filter(({ name }) => /^licen[sc]e/i.test(name)).map(({ name }) => join(directory, name)),
    ...(existsSync(thirdParty)
      ? readdirSync(thirdParty, { recursive: true })
          .filter((name) => /licen[sc]e$/i.test(name))
          .map((name) => join(thirdParty, name))
      : []),
  ]
}
