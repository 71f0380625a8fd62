import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AggregationTemporality, InMemoryMetricExporter } from '@opentelemetry/sdk-metrics'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import client, { Counter, Registry } from 'prom-client'
import type { ClusterStats } from '../../../../src/cluster/handle'
import { observe, register, type Source } from '../../../../src/hooks/metrics'

/** A cluster whose number of forks is that of the readings. */
function source(): Source & { readings: number } {
  const stats: ClusterStats = { count: 2, workers: [], forks: 0, recycled: 0, crashes: 0 }
  return {
    readings: 0,
    stats() {
      return { ...stats, forks: ++this.readings }
    },
  }
}

test('a meter of the SDK is a meter, and one collection reads the source once', async (t) => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new MeterProvider({ readers: [reader] })
  t.after(() => provider.shutdown())
  const cluster = source()
  const end = observe(cluster, provider.getMeter('test'))
  const readings = cluster.readings
  await reader.collect()
  assert.equal(cluster.readings, readings + 1)
  end()
  await reader.collect()
  assert.equal(cluster.readings, readings + 1)
})

test('a registry of prom-client is a registry, and is left as it was when it cannot take all', async () => {
  const registry = new Registry()
  register(source(), registry)
  const value = async () =>
    (await registry.getSingleMetric('cpu_memory_monitor_cluster_forks_total')?.get())?.values
  const [first] = (await value()) ?? []
  const [second] = (await value()) ?? []
  assert.equal(Number(second?.value), Number(first?.value) + 1)

  const taken = new Registry()
  new Counter({ name: 'cpu_memory_monitor_cluster_crashes_total', help: 'taken', registers: [taken] })
  assert.throws(() => register(source(), taken), /cluster_crashes_total has already been registered/)
  assert.equal(taken.getMetricsAsArray().length, 1)
})

test('the package itself can be handed over, as in a bundle', async () => {
  const registry = new Registry()
  register(source(), registry, client)
  assert.match(await registry.metrics(), /^# HELP cpu_memory_monitor_/m)
})
