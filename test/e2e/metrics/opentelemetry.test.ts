import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { describe, test, type TestContext } from 'node:test'
import { Program } from '../../harness/program'

const OPTIONS = {
  cpu: { threshold: 150, interval: 50 },
  profileDir: '.',
  signal: false,
  logger: false,
}

interface Metric {
  readonly descriptor: { readonly name: string; readonly type: string; readonly unit: string }
  readonly dataPoints: readonly { readonly attributes: object; readonly value: number }[]
}

async function observed(t: TestContext, ...more: string[]) {
  const program = new Program(
    t,
    [process.execPath, join(__dirname, 'programs/observes.js'), JSON.stringify(OPTIONS), ...more],
    { env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' } },
  )
  assert.deepEqual(await program.ended, { code: 0, signal: null }, program.stderr)
  return program.said[0] as unknown as { metrics: readonly Metric[]; later: readonly Metric[]; dumps: number }
}

/** The dumps that have been made. */
function countsIn(metrics: readonly Metric[]) {
  return metrics
    .filter(({ descriptor }) => descriptor.name === 'cpu_memory_monitor.dumps')
    .flatMap(({ dataPoints }) => dataPoints)
    .filter(({ value }) => value > 0)
    .map(({ attributes, value }) => ({ attributes, value }))
}

describe('the metrics for OpenTelemetry', { concurrency: 1 }, () => {
  test("are collected by the SDK's reader, until they are ended", async (t) => {
    const { metrics, later, dumps } = await observed(t)
    const byName = new Map(metrics.map((metric) => [metric.descriptor.name, metric]))
    const counter = byName.get('cpu_memory_monitor.dumps')
    assert.deepEqual([counter?.descriptor.type, counter?.descriptor.unit], ['OBSERVABLE_COUNTER', '{dump}'])
    assert.deepEqual(countsIn(metrics), [{ attributes: { kind: 'cpu', reason: 'manual' }, value: 1 }])
    // The SDK goes on to report what it has last observed.
    assert.deepEqual([dumps, countsIn(later)], [2, countsIn(metrics)])
    const threshold = byName.get('cpu_memory_monitor.cpu.threshold')
    assert.deepEqual([threshold?.descriptor.type, threshold?.descriptor.unit], ['OBSERVABLE_GAUGE', '1'])
    assert.deepEqual(
      threshold?.dataPoints.map(({ value }) => value),
      [1.5],
    )
    assert.equal(byName.get('cpu_memory_monitor.cpu.usage')?.dataPoints.length, 1)
    // Memory is not watched.
    assert.equal(byName.get('cpu_memory_monitor.memory.usage')?.dataPoints.length ?? 0, 0)
  })

  test('reach a collector by OTLP', async (t) => {
    const received: string[] = []
    const collector = createServer((request: IncomingMessage, response) => {
      void json(request).then((body) => {
        const { resourceMetrics } = body as {
          resourceMetrics: readonly { scopeMetrics: readonly { metrics: readonly { name: string }[] }[] }[]
        }
        for (const { scopeMetrics } of resourceMetrics)
          for (const { metrics } of scopeMetrics) received.push(...metrics.map(({ name }) => name))
        response.setHeader('content-type', 'application/json').end('{}')
      })
    }).listen(0, '127.0.0.1')
    t.after(() => void (collector.closeAllConnections(), collector.close()))
    await once(collector, 'listening')
    const { port } = collector.address() as AddressInfo
    await observed(t, `http://127.0.0.1:${port}/v1/metrics`)
    for (const name of ['cpu.usage', 'cpu.threshold', 'rule.level', 'rule.budget.left', 'dumps', 'skips'])
      assert.ok(received.includes(`cpu_memory_monitor.${name}`), `${name} is not in ${received.join()}`)
    assert.deepEqual(
      received.filter((name) => !name.startsWith('cpu_memory_monitor.')),
      [],
    )
  })
})
