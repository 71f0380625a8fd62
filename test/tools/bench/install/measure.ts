import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { firstError, installArguments, installEnvironment } from '../peers'
import type { Installation } from './figures'

const INSTALL_MS = 300_000
const START_MS = 60_000
const REPOSITORY = join(__dirname, '../../../..')
const COMPILERS = ['cc', 'gcc', 'g++', 'c++', 'clang', 'clang++', 'make']
const DOWNLOADERS = /pre-gyp install|prebuild-install/

/** Directories of one run: all gone at its end. */
export class Place {
  readonly #directory = mkdtempSync(join(tmpdir(), 'bench-install-'))
  readonly #withoutCompilers = join(this.#directory, 'bin')
  #count = 0

  constructor() {
    mkdirSync(this.#withoutCompilers)
    for (const name of COMPILERS) {
      const file = join(this.#withoutCompilers, name)
      writeFileSync(file, '#!/bin/sh\nexit 127\n')
      chmodSync(file, 0o755)
    }
  }

  /** The package as it would be published: `dist` and the prebuilt helpers that are there. */
  pack(): string {
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', this.#directory]
    const { stdout, status } = spawnSync('npm', args, {
      cwd: REPOSITORY,
      encoding: 'utf8',
      timeout: INSTALL_MS,
    })
    if (status !== 0) throw new Error(`npm pack ended with ${status}`)
    const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
    return join(this.#directory, filename)
  }

  /** @returns Where it is installed, and how long that took; or why it is not. */
  install(spec: string, { compilers = true } = {}): { directory: string; ms: number } | { reason: string } {
    const directory = this.#fresh()
    const env: NodeJS.ProcessEnv = {
      ...installEnvironment(),
      npm_config_cache: join(this.#directory, 'cache'),
    }
    const path = compilers ? env['PATH'] : `${this.#withoutCompilers}${delimiter}${env['PATH']}`
    const startedAtMs = performance.now()
    const { status, stderr, error } = spawnSync(
      'npm',
      [...installArguments(spec, true), '--prefer-offline'],
      {
        cwd: directory,
        encoding: 'utf8',
        timeout: INSTALL_MS,
        env: { ...env, PATH: path },
      },
    )
    const ms = performance.now() - startedAtMs
    if (status === 0) return { directory, ms }
    return { reason: error?.message ?? firstError(stderr) ?? `npm ended with ${status}` }
  }

  /** A preload for an empty program, that requires a module of what is installed there. */
  preload(directory: string, request: string): string {
    const file = join(directory, `${request.replace(/\W/g, '-')}.js`)
    writeFileSync(file, request === '' ? '' : `require(${JSON.stringify(request)})\n`)
    return file
  }

  /** Runs an empty program after the preload. */
  start(preload: string): { ms: number; rssMb: number } | { reason: string } {
    const directory = this.#fresh()
    const program = join(directory, 'empty.js')
    writeFileSync(
      program,
      "process.on('exit', () => process.stdout.write(String(process.memoryUsage.rss())))\n",
    )
    const startedAtMs = performance.now()
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--require', preload, program], {
      cwd: directory,
      encoding: 'utf8',
      timeout: START_MS,
      env: { ...process.env, NODE_OPTIONS: '', CMM_PROFILE_DIR: directory },
    })
    const ms = performance.now() - startedAtMs
    if (status === 0) return { ms, rssMb: Number(/\d+$/.exec(stdout)?.[0]) / 2 ** 20 }
    return { reason: /^\w*Error.*$/m.exec(stderr)?.[0] ?? `it ended with ${signal ?? status}` }
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #fresh(): string {
    const directory = join(this.#directory, String((this.#count += 1)))
    mkdirSync(directory)
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true }))
    return directory
  }
}

/** What an installation has brought. */
export function contentOf(directory: string): Pick<Installation, 'packages' | 'bytes' | 'downloads'> {
  const modules = join(directory, 'node_modules')
  const lock = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')) as {
    packages: Record<string, unknown>
  }
  const manifests = Object.keys(lock.packages).map((name) => join(directory, name, 'package.json'))
  const downloads = manifests.filter(existsSync).some((file) => {
    const { scripts } = JSON.parse(readFileSync(file, 'utf8')) as { scripts?: Record<string, string> }
    return DOWNLOADERS.test(scripts?.['install'] ?? '')
  })
  return { packages: manifests.filter(existsSync).length, bytes: bytesIn(modules), downloads }
}

function bytesIn(directory: string): number {
  const { stdout } = spawnSync('du', ['--apparent-size', '--bytes', '--summarize', directory], {
    encoding: 'utf8',
  })
  if (readdirSync(directory).length === 0) throw new Error(`${directory} is empty`)
  return Number(/^\d+/.exec(stdout)?.[0])
}
