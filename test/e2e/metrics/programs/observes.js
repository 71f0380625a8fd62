// Offers a monitor to OpenTelemetry: node observes.js <options as JSON> [URL of a collector]. Prints what the SDK has collected.
const {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} = require('@opentelemetry/sdk-metrics')
const { once } = require('node:events')
const { OTLPMetricExporter } = require('@opentelemetry/exporter-metrics-otlp-http')
const cpuMemoryMonitor = require('../../../../dist/index.js')
const { observe } = require('../../../../dist/hooks/metrics/index.js')

const [options, url] = process.argv.slice(2)

async function main() {
  const exporter = url
    ? new OTLPMetricExporter({ url })
    : new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  // Exports when it is told to.
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const monitor = cpuMemoryMonitor(JSON.parse(options))
  const end = observe(monitor, meterProvider.getMeter('cpu-memory-monitor'))
  // Readings do not keep the process alive.
  const hold = setInterval(() => undefined, 1000)
  await once(monitor, 'reading')
  clearInterval(hold)
  await monitor.dumpCpu(20)
  await reader.forceFlush()
  end()
  await monitor.dumpCpu(20)
  const { resourceMetrics } = await reader.collect()
  const metrics = url
    ? []
    : exporter
        .getMetrics()
        .at(-1)
        .scopeMetrics.flatMap((scope) => scope.metrics)
  await monitor.stop()
  await meterProvider.shutdown()
  const later = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
  console.log(JSON.stringify({ metrics, later, dumps: monitor.stats().dumps.cpu }))
}

main()
