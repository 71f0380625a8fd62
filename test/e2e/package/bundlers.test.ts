import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { scratch } from '../../harness/program'
import { whyNoHelper } from '../fork/native/forking-server'
import { type InstalledPackage, installPackage, repository } from './installed-package'
import { sectionOf } from './pages'

const BUNDLERS = ['webpack@5', 'webpack-cli@6', '@vercel/ncc@0.45', '@vercel/nft@1']

/** What the bundled application printed: its start line, and how a heap snapshot was taken. */
interface Outcome {
  readonly start: string
  readonly way: string
}

/** The settings of `docs/running-it.md` that leave the package out of a bundle, by the name of the bundler. */
const documented = new Map(
  [...sectionOf('docs/running-it.md', '## Bundlers').matchAll(/^- (\w+): `([^`]+)`$/gm)].map(
    ([, bundler = '', setting = '']) => [bundler, setting],
  ),
)

/** How each bundler is called, with or without its setting, to write `<directory>/<bundle>`. */
const table: Record<string, { bundle: string; call: (directory: string, setting?: string) => string[] }> = {
  esbuild: {
    bundle: 'app.js',
    call: (directory, setting) => [
      join(repository, 'node_modules/esbuild/bin/esbuild'),
      ...['app.js', '--bundle', '--platform=node', `--outfile=${directory}/app.js`],
      ...(setting === undefined ? [] : [setting]),
    ],
  },
  webpack: {
    bundle: 'main.js',
    call: (directory, setting = 'externals: {}') => {
      const options = `mode: 'production', target: 'node', entry: './app.js', output: { path: __dirname + '/${directory}' }`
      const config = `${directory}.config.js`
      return [
        'node_modules/.bin/webpack',
        '--config',
        write(config, `module.exports = { ${options}, ${setting} }`),
      ]
    },
  },
  ncc: {
    bundle: 'index.js',
    call: (directory, setting = '') => [
      ...['node_modules/.bin/ncc', 'build', 'app.js', '--out', directory],
      ...setting.split(' ').filter(Boolean),
    ],
  },
}

let installed: InstalledPackage

function write(name: string, text: string): string {
  writeFileSync(join(installed.project, name), text)
  return name
}

describe('an application that is bundled', { timeout: 400_000, skip: whyNoHelper() }, () => {
  before(async () => {
    installed = await installPackage()
    write('app.js', readFileSync(join(__dirname, 'programs/bundled.js'), 'utf8'))
    await installed.run('npm', [
      ...['install', '--no-save', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'],
      ...BUNDLERS,
    ])
  })

  after(() => installed?.remove())

  for (const [name, { bundle, call }] of Object.entries(table)) {
    it(`by ${name} with the package left out has the thread and the fork helper`, async () => {
      const setting = documented.get(name)
      assert.ok(setting, `docs/running-it.md has no setting for ${name}`)
      const { start, way } = await bundled(`${name}-out`, bundle, (directory) => call(directory, setting))
      assert.match(start, /; on a thread of its own;/)
      assert.match(start, /^.* by fork, .*profile and snapshot by a forked child/)
      assert.equal(way, 'fork')
    })

    it(`by ${name} as a whole watches from the main thread, and its start line has the reason and the setting`, async () => {
      const { start, way } = await bundled(`${name}-whole`, bundle, (directory) => call(directory))
      assert.match(start, new RegExp(`; on the main thread, because .* external: .*${name}`))
      assert.match(start, /not used: .*fork \(.* has to be external/)
      assert.notEqual(way, 'fork')
    })
  }

  it('is copied file by file, as @vercel/nft finds them, with the thread and the fork helper', async (t) => {
    const trace = `
      import { nodeFileTrace } from '@vercel/nft'
      const { fileList, warnings } = await nodeFileTrace(['app.js', 'cluster.js'])
      console.log(JSON.stringify({ files: [...fileList], warnings: [...warnings].map(String) }))`
    write('cluster.js', "require('cpu-memory-monitor/cluster')")
    const { stdout } = await installed.run(process.execPath, ['--input-type=module', '--eval', trace])
    const { files, warnings } = JSON.parse(stdout) as { files: string[]; warnings: string[] }
    assert.deepEqual(warnings, [])
    assert.ok(files.includes('node_modules/cpu-memory-monitor/dist/cluster/orphan-thread.js'))
    // What no application runs.
    assert.deepEqual(
      files.filter((file) => /dist\/reader|\/docs\//.test(file)),
      [],
    )

    const copy = scratch(t)
    for (const file of files) {
      mkdirSync(join(copy, dirname(file)), { recursive: true })
      cpSync(join(installed.project, file), join(copy, file))
    }
    const { start, way } = await outcomeOf(join(copy, 'app.js'))
    assert.match(start, /; on a thread of its own;/)
    assert.equal(way, 'fork')
  })
})

async function bundled(
  directory: string,
  bundle: string,
  commandFor: (directory: string) => string[],
): Promise<Outcome> {
  const [file = '', ...args] = commandFor(directory)
  await installed.run(file, args)
  return outcomeOf(join(installed.project, directory, bundle))
}

async function outcomeOf(program: string): Promise<Outcome> {
  const { stdout } = await installed.run(process.execPath, [program])
  return JSON.parse(stdout) as Outcome
}
