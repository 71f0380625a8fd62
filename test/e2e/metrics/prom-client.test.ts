import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { Program } from '../../harness/program'
import { complaintsAbout, startPrometheus, whyNoPrometheus } from './prometheus'

const EXPOSES = join(__dirname, 'programs/exposes.js')
const DASHBOARD = join(__dirname, '../../../docs/examples/grafana/cpu-memory-monitor.json')
const noPrometheus = whyNoPrometheus()
const orSkip = noPrometheus === undefined ? {} : { skip: noPrometheus }

const OPTIONS = {
  cpu: { threshold: '80%', counter: 3, interval: 100 },
  memory: { threshold: '900gb', interval: 100, sampling: false },
  rules: [{ name: 'full-heap', metric: 'heap', threshold: '90%', dump: 'memory', interval: 100 }],
  signal: false,
  logger: false,
}

function start(t: TestContext, options: object): Program {
  return new Program(t, [process.execPath, EXPOSES, JSON.stringify(options)], {
    env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' },
  })
}

/** A number of the program's once it serves, by the name of the object that it says. */
async function said<T>(program: Program, key: string): Promise<T> {
  return program.until(key, () => program.said.find((object) => key in object)?.[key] as T | undefined)
}

async function scrape(program: Program): Promise<string> {
  const port = await said<number>(program, 'port')
  return (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
}

/** The value of a series as it stands in the text of a scrape. */
function valueIn(metrics: string, series: string): number | undefined {
  const line = metrics.split('\n').find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length))
}

describe('the metrics for prom-client', { concurrency: 1 }, () => {
  test('are those of the moment of the scrape', async (t) => {
    const program = start(t, OPTIONS)
    const before = await said<string>(program, 'before')
    const after = await scrape(program)
    const dumps = 'cpu_memory_monitor_dumps_total{kind="memory",reason="manual"}'
    assert.deepEqual([valueIn(before, dumps), valueIn(after, dumps)], [0, 1])
    const readings = 'cpu_memory_monitor_rule_readings_total{rule="full-heap"}'
    assert.equal(valueIn(before, readings), 0)
    assert.ok((valueIn(after, readings) ?? 0) > 0)
    // Before the first reading there is no use of memory, and not one of 0.
    assert.equal(valueIn(before, 'cpu_memory_monitor_memory_usage_bytes'), undefined)
    assert.ok((valueIn(after, 'cpu_memory_monitor_memory_usage_bytes') ?? 0) > 10e6)
    assert.equal(valueIn(after, 'cpu_memory_monitor_memory_threshold_bytes'), 900 * 1024 ** 3)
    assert.equal(valueIn(after, 'cpu_memory_monitor_rule_budget_left{rule="cpu"}'), 3)
  })

  test('leave no trace in a registry that they cannot have or have left', async (t) => {
    const program = start(t, OPTIONS)
    assert.match(await said<string>(program, 'refused'), /cpu_memory_monitor_\w+ has already been registered/)
    assert.equal(await said<boolean>(program, 'isUnchanged'), true)
    assert.equal(await said<number>(program, 'leftAfterUnregister'), 0)
    await said(program, 'port')
    program.kill('SIGTERM')
    assert.equal(await said<number>(program, 'leftAtTheEnd'), 0)
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.stderr)
  })

  test('have nothing of a kind that is not watched', async (t) => {
    const metrics = await scrape(start(t, { ...OPTIONS, cpu: undefined }))
    assert.doesNotMatch(metrics, /^cpu_memory_monitor_cpu_|rule="cpu"/m)
    assert.match(metrics, /^cpu_memory_monitor_memory_usage_bytes \d/m)
  })

  test('bring nothing into a process that does not ask for them, and do not keep one alive', async (t) => {
    const program = new Program(t, [process.execPath, join(__dirname, 'programs/loads.js')])
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.stderr)
    assert.deepEqual(program.said, [{ before: 0, withTheEntry: 0, withRegister: true }])
  })

  test('have no complaint of promtool', orSkip, async (t) => {
    assert.equal(complaintsAbout(await scrape(start(t, OPTIONS))), '')
    assert.match(complaintsAbout('# TYPE dumps counter\ndumps 1\n'), /_total/)
  })

  test('fill each panel of the dashboard', orSkip, async (t) => {
    const application = start(t, OPTIONS)
    const primary = new Program(t, [process.execPath, join(__dirname, 'programs/cluster.js')], {
      env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' },
      beforeKill: async ({ child, ended }) => void (child.kill('SIGTERM'), await ended),
    })
    const prometheus = await startPrometheus(t, {
      shop: await said<number>(application, 'port'),
      workers: await said<number>(primary, 'port'),
    })
    const queries = queriesOf(readFileSync(DASHBOARD, 'utf8'))
    assert.ok(queries.length >= 15)
    for (const each of queries) {
      const series = await prometheus.query(each)
      for (const { value } of series) assert.ok(Number(value[1]) >= 0, `${each}: ${value[1]}`)
    }
    const [dumps] = await prometheus.query(
      'cpu_memory_monitor_dumps_total{job="shop",kind="memory",reason="manual"}',
    )
    assert.equal(dumps?.value[1], '1')
    const [ready] = await prometheus.query('cpu_memory_monitor_cluster_workers{job="workers",state="ready"}')
    assert.equal(ready?.value[1], '2')
  })
})

/** The queries of all panels and variables, with Grafana's own variables as it fills them in. */
function queriesOf(dashboard: string): string[] {
  const { panels, templating } = JSON.parse(dashboard) as {
    panels: readonly { targets: readonly { expr: string }[] }[]
    templating: { list: readonly { definition?: string }[] }
  }
  const ofVariables = templating.list.flatMap(
    ({ definition }) => /^label_values\((.*), \w+\)$/.exec(definition ?? '')?.[1] ?? [],
  )
  return [...ofVariables, ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))].map((expr) =>
    expr.replaceAll('$__rate_interval', '30s').replaceAll(/\$(job|instance)\b/g, '.*'),
  )
}
