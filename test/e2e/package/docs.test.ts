import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import os from 'node:os'
import { dirname, join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { runInThisContext } from 'node:vm'
import { type ClusterOptions, resolveClusterOptions } from '../../../dist/cluster/options.js'
import { FLEET_PLAN, type FleetPlan } from '../../../dist/dispatch/fleet.js'
import * as names from '../../../dist/files/names.js'
import { type RedisOptions, resolveRedisOptions } from '../../../dist/hooks/redis/options.js'
import { S3_OPTIONS } from '../../../dist/hooks/s3/declared.js'
import { resolveUploadOptions } from '../../../dist/hooks/s3/options.js'
import { variableOf } from '../../../dist/monitor/declared.js'
import { type Options, resolveOptions } from '../../../dist/monitor/options.js'
import { resolveUpdate, type Update } from '../../../dist/monitor/update.js'
import { repository } from './installed-package'
import { anchorsOf, linksOf, pages, read, samplesOf, sectionOf } from './pages'

const LONGEST_LINE = 120

describe('README and docs', () => {
  it('have no line that a terminal of 120 columns breaks', () => {
    const examples = readdirSync(join(repository, 'docs/examples'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.endsWith('grafana'))
      .map(({ parentPath, name }) => relative(repository, join(parentPath, name)))
    // The reference is generated: a declaration is one line in it.
    const written = pages.filter((page) => page !== 'docs/api.md')
    for (const page of [...written, 'docs/llms.txt', ...examples]) {
      const long = read(page)
        .split('\n')
        .filter((line) => [...line].length > LONGEST_LINE)
      assert.deepEqual(long, [], page)
    }
  })

  it('link only to files and headings that exist', () => {
    let count = 0
    for (const page of pages) {
      for (const { path, anchor } of linksOf(page)) {
        assert.ok(existsSync(join(repository, path)), `${page} links to ${path}`)
        if (anchor !== undefined)
          assert.ok(anchorsOf(path).includes(anchor), `${page} links to ${path}#${anchor}`)
        count += 1
      }
    }
    assert.ok(count > 20, `found only ${count} links`)
  })

  it('name only files of the repository that exist', () => {
    for (const page of pages) {
      const files = read(page).match(/(?<![\w./-])(?:test|docs|src)\/[\w./-]+\.\w+/g) ?? []
      // An example has a src of its own.
      const places = [repository, join(repository, dirname(page))]
      for (const file of files)
        assert.ok(
          places.some((place) => existsSync(join(place, file))),
          `${page} names ${file}`,
        )
    }
  })

  it('name only npm scripts, benchmarks and acceptance items that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    let count = 0
    for (const page of pages) {
      const text = read(page).replace(/\s+/g, ' ')
      for (const [command, script = '', items = ''] of text.matchAll(
        /npm run ([\w:-]+)(?: -- ([a-z -]+))?/g,
      )) {
        assert.ok(Object.hasOwn(scripts, script), `${page}: ${command}`)
        const folder = /node (\S+)\/run\.mjs/.exec(scripts[script] ?? '')?.[1] ?? ''
        for (const item of items.split(' ').filter(Boolean)) {
          assert.ok(existsSync(join(repository, folder, `${item}.mjs`)), `${page}: ${command}`)
        }
        count += 1
      }
    }
    assert.ok(count > 10, `found only ${count} commands`)
  })

  it('have samples that run and whose options are accepted', () => {
    for (const page of pages) for (const sample of samplesOf(page)) runSample(sample)
    assert.throws(() => runSample("require('cpu-memory-monitor')({ cpu: { treshold: 60 } })"), /treshold/)
    assert.throws(
      () => runSample("require('cpu-memory-monitor/cluster').run('400 apples', () => 1)"),
      /limit/,
    )
  })

  it('show no directory in which every user can write', () => {
    for (const page of pages) assert.doesNotMatch(read(page), /profileDir: '\/(?:var\/)?tmp\/?'/, page)
  })
})

describe('docs/llms.txt', () => {
  const page = 'docs/llms.txt'

  it('has a title, a summary and one line for each page', () => {
    assert.match(read(page), /^# cpu-memory-monitor\n\n> /)
    const links = read(page)
      .split('\n')
      .filter((line) => line.startsWith('- ['))
    for (const line of links) assert.match(line, /^- \[[^\]]+\]\([^)]+\): \S/)
    // As the pages link to each other, they are files of the repository.
    assert.deepEqual(
      linksOf(page)
        .map(({ path }) => path)
        .sort(),
      [...pages].sort(),
    )
    assert.equal(links.length, pages.length)
  })
})

describe('docs/options.md', () => {
  const documented = optionsIn(read('docs/options.md'))

  it('has every option of the code and no other', () => {
    assert.deepEqual([...documented.keys()].sort(), monitorOptions().sort())
  })

  it('has a type for each and the default of the code', () => {
    const withOption = (name: string, value: unknown): Options => {
      const [group = '', key] = name.split('.')
      const all = { cpu: {}, memory: {} }
      return { ...all, [group]: key === undefined ? value : { [key]: value } }
    }
    const prose = checkDefaults(documented, (name, value) => resolveOptions(withOption(name, value)))
    assert.deepEqual(prose, ['logger', 'onDump'])
  })

  it('agrees with the list in the README', () => {
    const list = sectionOf('README.md', '## The options people set').replace(/\n {2}/g, ' ')
    const items = [...list.matchAll(/^- `([\w.]+)`(.*)$/gm)]
    assert.ok(items.length >= 10)
    for (const [, name = '', text = ''] of items) {
      const section = documented.get(name) ?? documented.get(`cpu.${name}`)
      assert.ok(section !== undefined, name)
      const inReadme = / Default: `?([^`]+)`?\.$/.exec(text)?.[1]
      if (inReadme !== undefined && inReadme !== 'the working directory')
        assert.equal(inReadme, defaultIn(section), name)
    }
  })
})

describe('the options of Redis in docs/fleet.md', () => {
  const documented = optionsIn(sectionOf('docs/fleet.md', '## One budget for the fleet'))
  const resolve = (options: object) =>
    resolveRedisOptions({ url: 'redis://redis', service: 'shop', ...options })

  it('are those of the code and no other', () => {
    assert.deepEqual([...documented.keys()].sort(), keysIn(() => resolve({ wrong: 1 })).sort())
  })

  it('have a type and the default of the code', () => {
    const prose = checkDefaults(documented, (name, value) => resolve({ [name]: value }))
    assert.deepEqual(prose, ['client', 'service', 'url'])
  })
})

describe('docs/fleet.md', () => {
  it('has every option of the code and no other, with its variable', () => {
    const rows = [...read('docs/fleet.md').matchAll(/^\| `(\w+)` +\| (?:`(CMM_S3_\w+)`)? +\|/gm)]
    assert.deepEqual(
      rows.map(([, option, variable]) => [option, variable]),
      S3_OPTIONS.map(({ option, variable }) => [
        option.slice('s3.'.length),
        variable === 'none' ? undefined : variableOf(option),
      ]),
    )
  })
})

describe('docs/cluster.md', () => {
  const documented = optionsIn(sectionOf('docs/cluster.md', '## Options'))
  const resolve = (options: object, environment = {}) => resolveClusterOptions('400mb', options, environment)

  it('has every option of the code and no other', () => {
    const keys = [
      ...keysIn(() => resolve({ wrong: 1 })),
      ...keysIn(() => resolve({ dump: { wrong: 1 } })).map((key) => `dump.${key}`),
    ]
    assert.deepEqual([...documented.keys()].sort(), keys.sort())
  })

  it('has a type for each and the default of the code', () => {
    const prose = checkDefaults(documented, (name, value) =>
      name.startsWith('dump.') ? resolve({ dump: { [name.slice(5)]: value } }) : resolve({ [name]: value }),
    )
    assert.deepEqual(prose, ['linger', 'logger'])
  })

  it('names the environment variables that the code reads', () => {
    const variables = [...documented].flatMap(([name, text]) => {
      const variable = /Environment: `(\w+)`/.exec(text)?.[1]
      return variable === undefined ? [] : [{ name, variable }]
    })
    assert.ok(variables.length >= 2)
    for (const { name, variable } of variables) {
      assert.deepEqual(resolve({}, { [variable]: '7' }), resolve({ [name]: 7 }), variable)
    }
  })
})

describe('the table of files in the README', () => {
  const table = sectionOf('README.md', '## The files it leaves')
  const rows = [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, name = '']) => name)

  it('has the names that the product gives, and no others', () => {
    const rules: names.DumpRule[] = ['threshold', 'blocked', 'leak', 'manual', 'heap-limit']
    const given = (Object.keys(names.EXTENSIONS) as names.DumpKind[]).flatMap((kind) =>
      rules
        .map(
          (rule) =>
            names.artefactBaseName({ kind, rule, pid: 12, startedAtMs: 34 }) + names.EXTENSIONS[kind][0],
        )
        .filter((name) => names.parseArtefactName(name)),
    )
    const listed = rows.filter((name) => !name.startsWith('…'))
    assert.deepEqual(
      listed.map((name) => name.replace('<pid>', '12').replace('<ms>', '34')).sort(),
      given.sort(),
    )
  })

  it('has what stands beside them', () => {
    const endings = rows.filter((name) => name.startsWith('…')).map((name) => name.slice(1))
    const others = Object.values(names.EXTENSIONS).flatMap(([main, ...more]) => [
      ...(main ? [names.artefactName('', main, 12).replace('12', '<id>')] : []),
      ...more,
    ])
    assert.deepEqual(endings.sort(), [...others, names.SIDECAR_SUFFIX].sort())
    assert.ok(table.includes(`\`…${names.PARTIAL_SUFFIX}\``))
  })
})

/** The sections of options, by name; one heading may name several. */
function optionsIn(text: string): Map<string, string> {
  const sections = `\n${text}`.split(/\n### /).slice(1)
  return new Map(
    sections.flatMap((section) => {
      const [heading = ''] = section.split('\n')
      return [...heading.matchAll(/`([\w.]+)`/g)].map(([, name = '']): [string, string] => [name, section])
    }),
  )
}

/** The default as it is written, when it is code. */
function defaultIn(section: string): string | undefined {
  return /^- Default: `([^`]+)`$/m.exec(section)?.[1]
}

/**
 * An option with the value that is documented as its default must resolve to the same settings as without.
 *
 * @returns The options whose default is described in words.
 */
function checkDefaults(
  documented: ReadonlyMap<string, string>,
  resolve: (name: string, value: unknown) => unknown,
): string[] {
  const prose: string[] = []
  for (const [name, section] of documented) {
    assert.match(section, /^- Type: .+$/m, name)
    assert.match(section, /^- Default: .+/m, name)
    const code = defaultIn(section)
    if (code === undefined) prose.push(name)
    else assert.deepEqual(resolve(name, evaluate(code)), resolve(name, undefined), `${name}: ${code}`)
  }
  return prose.sort()
}

function evaluate(code: string): unknown {
  const run = runInThisContext(`(process, os) => (${code})`) as (...values: unknown[]) => unknown
  return run(process, os)
}

/** As the entry does it, without the optional packages. */
function readRedis(options: RedisOptions): FleetPlan {
  const plan = { file: '', settings: resolveRedisOptions(options), inWords: '' }
  return Object.defineProperty(plan, FLEET_PLAN, { value: true })
}

/** Runs a sample; the package itself only reads its options. */
function runSample(sample: string): void {
  const monitor = (options: Options) => {
    const settings = resolveOptions(options)
    const update = (changes: Update) => resolveUpdate(changes, settings)
    return Object.assign(new EventEmitter(), { update })
  }
  const run = (limit: number | string, _run: unknown, _clean?: unknown, options?: ClusterOptions) => {
    resolveClusterOptions(limit, options, {})
    return new EventEmitter()
  }
  const parts: Record<string, unknown> = {
    'cpu-memory-monitor': monitor,
    'cpu-memory-monitor/cluster': { run },
    'cpu-memory-monitor/metrics': { observe: () => undefined, register: () => undefined },
    '@opentelemetry/api': { metrics: { getMeter: () => undefined } },
    'cpu-memory-monitor/redis': { redisBudget: readRedis },
    'cpu-memory-monitor/s3': { uploadTo: (options: unknown) => void resolveUploadOptions(options) },
    'node:diagnostics_channel': { subscribe: () => undefined },
  }
  const program = runInThisContext(`(require, cpuMemoryMonitor, module) => {{\n${sample}\n}}`) as (
    ...values: unknown[]
  ) => void
  program((name: string) => parts[name] ?? {}, monitor, {})
}

/** The names of all options, as the error for an unknown one lists them. */
function monitorOptions(): string[] {
  return [
    ...keysIn(() => resolveOptions({ wrong: 1 } as Options)).filter(
      (key) => key !== 'cpu' && key !== 'memory',
    ),
    ...keysIn(() => resolveOptions({ cpu: { wrong: 1 } } as Options)).map((key) => `cpu.${key}`),
    ...keysIn(() => resolveOptions({ memory: { wrong: 1 } } as Options)).map((key) => `memory.${key}`),
  ]
}

function keysIn(refuse: () => unknown): string[] {
  try {
    refuse()
  } catch (error) {
    return (error as Error).message.replace(/^.* takes /, '').split(', ')
  }
  throw new Error('an unknown option was accepted')
}
