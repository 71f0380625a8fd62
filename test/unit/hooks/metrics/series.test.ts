import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterStats } from '../../../../src/cluster/handle'
import type { SkipReason } from '../../../../src/dispatch/events'
import { prometheusName, seriesFor, type Stats } from '../../../../src/hooks/metrics/series'
import type { MonitorStats } from '../../../../src/monitor/monitor'

const budget = { tokensPerInterval: 3, intervalMs: 3_600_000, left: 2 }

const monitor: MonitorStats = {
  rules: {
    cpu: { threshold: 80, counter: 3, readings: 7, latest: { value: 60, atEpochMs: 1 }, breaches: 0, budget },
    memory: { threshold: 1000, counter: 1, readings: 0, breaches: 0, budget },
    ...{
      queue: {
        threshold: 0,
        counter: 2,
        readings: 1,
        latest: { value: 5, atEpochMs: 1 },
        breaches: 1,
        budget,
      },
    },
  },
  dumps: { cpu: 2, memory: 1 },
  dumpsByRule: { cpu: { threshold: 1, queue: 1 }, memory: { manual: 1 } },
  skips: { busy: 4 },
  leaks: 0,
  failures: 5,
}

const worker = { id: 1, pid: 2, rss: 3, age: 4, over: false }
const cluster: ClusterStats = {
  count: 3,
  workers: [
    { ...worker, state: 'ready' },
    { ...worker, state: 'ready', over: true },
    { ...worker, state: 'draining' },
  ],
  forks: 9,
  recycled: 6,
  crashes: 1,
}

/** All points, as a scrape writes them. */
function pointsOf(stats: Stats): Record<string, number> {
  return Object.fromEntries(
    seriesFor(stats).flatMap((series) =>
      series.read(stats).map(({ value, labels = {} }) => {
        assert.deepEqual(Object.keys(labels), series.labels, series.name)
        return [[prometheusName(series), ...Object.values(labels)].join(' '), value] as const
      }),
    ),
  )
}

test('a monitor has its readings, thresholds, budgets and counts, in base units', () => {
  assert.deepEqual(pointsOf(monitor), {
    cpu_memory_monitor_cpu_usage_ratio: 0.6,
    cpu_memory_monitor_cpu_threshold_ratio: 0.8,
    cpu_memory_monitor_memory_threshold_bytes: 1000,
    'cpu_memory_monitor_rule_level_ratio cpu': 0.75,
    'cpu_memory_monitor_rule_breaches cpu': 0,
    'cpu_memory_monitor_rule_breaches memory': 0,
    'cpu_memory_monitor_rule_breaches queue': 1,
    'cpu_memory_monitor_rule_breach_limit cpu': 3,
    'cpu_memory_monitor_rule_breach_limit memory': 1,
    'cpu_memory_monitor_rule_breach_limit queue': 2,
    'cpu_memory_monitor_rule_budget_left cpu': 2,
    'cpu_memory_monitor_rule_budget_left memory': 2,
    'cpu_memory_monitor_rule_budget_left queue': 2,
    'cpu_memory_monitor_rule_budget_limit cpu': 3,
    'cpu_memory_monitor_rule_budget_limit memory': 3,
    'cpu_memory_monitor_rule_budget_limit queue': 3,
    'cpu_memory_monitor_rule_readings_total cpu': 7,
    'cpu_memory_monitor_rule_readings_total memory': 0,
    'cpu_memory_monitor_rule_readings_total queue': 1,
    'cpu_memory_monitor_dumps_total cpu threshold': 1,
    'cpu_memory_monitor_dumps_total cpu blocked': 0,
    'cpu_memory_monitor_dumps_total cpu manual': 0,
    'cpu_memory_monitor_dumps_total cpu queue': 1,
    'cpu_memory_monitor_dumps_total memory threshold': 0,
    'cpu_memory_monitor_dumps_total memory leak': 0,
    'cpu_memory_monitor_dumps_total memory heap-limit': 0,
    'cpu_memory_monitor_dumps_total memory manual': 1,
    'cpu_memory_monitor_skips_total limited': 0,
    'cpu_memory_monitor_skips_total fleet': 0,
    'cpu_memory_monitor_skips_total busy': 4,
    'cpu_memory_monitor_skips_total memory': 0,
    'cpu_memory_monitor_skips_total disk': 0,
    'cpu_memory_monitor_skips_total stopped': 0,
    cpu_memory_monitor_leaks_total: 0,
    cpu_memory_monitor_failures_total: 5,
  })
})

test('each reason of a skip is counted from 0 on, so that an alert sees the first one', () => {
  // The compiler refuses this table when it lacks a reason of the type, or has one more.
  const all: Readonly<Record<SkipReason, true>> = {
    limited: true,
    fleet: true,
    busy: true,
    memory: true,
    disk: true,
    stopped: true,
  }
  const prefix = 'cpu_memory_monitor_skips_total '
  const counted = Object.keys(pointsOf({ ...monitor, skips: {} })).filter((name) => name.startsWith(prefix))
  assert.deepEqual(counted.map((name) => name.slice(prefix.length)).sort(), Object.keys(all).sort())
})

test('what is not watched and what has no reading has no point', () => {
  const idle: MonitorStats = {
    rules: {},
    dumps: { cpu: 0, memory: 0 },
    dumpsByRule: { cpu: {}, memory: {} },
    skips: {},
    leaks: 0,
    failures: 0,
  }
  const names = Object.keys(pointsOf(idle))
  assert.deepEqual(
    names.filter((name) => /_cpu_|_memory_usage|_memory_threshold|_rule_/.test(name)),
    [],
  )
})

test('a cluster has its workers by state and what has happened to them', () => {
  assert.deepEqual(pointsOf(cluster), {
    cpu_memory_monitor_cluster_target_workers: 3,
    'cpu_memory_monitor_cluster_workers starting': 0,
    'cpu_memory_monitor_cluster_workers ready': 2,
    'cpu_memory_monitor_cluster_workers draining': 1,
    'cpu_memory_monitor_cluster_workers leaving': 0,
    cpu_memory_monitor_cluster_workers_over_limit: 1,
    cpu_memory_monitor_cluster_forks_total: 9,
    cpu_memory_monitor_cluster_recycled_total: 6,
    cpu_memory_monitor_cluster_crashes_total: 1,
  })
})

test('each series has a name, a unit and a description of its own', () => {
  const all = [...seriesFor(monitor), ...seriesFor(cluster)]
  for (const { name, unit, description } of all) {
    assert.match(name, /^cpu_memory_monitor(\.[a-z]+(_[a-z]+)*)+$/)
    assert.match(unit, /^(1|By|\{[a-z]+\})$/)
    assert.match(description, /^[A-Z]/)
  }
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length)
  assert.equal(new Set(all.map(({ description }) => description)).size, all.length)
})
