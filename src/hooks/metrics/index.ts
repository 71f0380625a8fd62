import { loadPackage, resolvePackage } from '../../capture/engines'
import { type Point, prometheusName, type Series, seriesFor, type Stats } from './series'

/** A monitor, or the handle of a cluster that `run` of `cpu-memory-monitor/cluster` returns. */
export interface Source {
  stats(): Stats
}

/** The methods of a `Meter` of `@opentelemetry/api`, 1.3 or later, that this module calls. */
export interface Meter {
  createObservableGauge(name: string, options: InstrumentOptions): object
  createObservableCounter(name: string, options: InstrumentOptions): object
  addBatchObservableCallback(callback: BatchCallback, instruments: never[]): void
  removeBatchObservableCallback(callback: BatchCallback, instruments: never[]): void
}

export interface InstrumentOptions {
  readonly unit: string
  readonly description: string
}

type BatchCallback = (result: {
  observe(instrument: never, value: number, attributes?: Record<string, string>): void
}) => void

/** The methods of a `Registry` of `prom-client`, 14 or later, that this module calls. */
export interface Registry {
  registerMetric(metric: never): void
  removeSingleMetric(name: string): void
}

/**
 * Offers the metrics of a monitor or a cluster to OpenTelemetry. They are read when the OpenTelemetry SDK collects metrics; no
 * timer is started.
 *
 * @param meter - A meter, such as `metrics.getMeter('cpu-memory-monitor')` of `@opentelemetry/api`.
 * @returns A function that ends the observation.
 */
export function observe(source: Source, meter: Meter): () => void {
  const observed = seriesFor(source.stats()).map((series) => ({
    series,
    instrument: instrumentOf(meter, series),
  }))
  const callback: BatchCallback = (result) => {
    const stats = source.stats()
    for (const { series, instrument } of observed)
      for (const { value, labels } of series.read(stats)) result.observe(instrument, value, labels)
  }
  const instruments = observed.map(({ instrument }) => instrument)
  meter.addBatchObservableCallback(callback, instruments)
  return () => meter.removeBatchObservableCallback(callback, instruments)
}

/** Creates an OpenTelemetry instrument. Its type is `never`, which TypeScript accepts as any meter's own type of instrument. */
function instrumentOf(meter: Meter, { name, kind, unit, description }: Series): never {
  const options = { unit, description }
  const instrument =
    kind === 'counter'
      ? meter.createObservableCounter(name, options)
      : meter.createObservableGauge(name, options)
  return instrument as never
}

/**
 * Adds the metrics of a monitor or a cluster to a registry of `prom-client`. They are read when Prometheus scrapes; no timer is
 * started.
 *
 * @param registry - A registry, such as `register` of `prom-client`, its default registry.
 * @param client - The package `prom-client`, needed when it is part of a bundle. @defaultValue the package that is installed
 * beside this package or the program
 * @returns A function that removes the metrics from the registry.
 * @throws Error when `prom-client` is not installed, or when the registry already has a metric of the same name. The registry is
 * then unchanged.
 */
export function register(
  source: Source,
  registry: Registry,
  client: PromClient = loadPromClient(),
): () => void {
  const names: string[] = []
  const unregister = (): void => names.splice(0).forEach((name) => registry.removeSingleMetric(name))
  try {
    for (const series of seriesFor(source.stats())) {
      const name = prometheusName(series)
      addMetric(client, registry, name, series, source)
      names.push(name)
    }
  } catch (error) {
    unregister()
    throw error
  }
  return unregister
}

/** The methods of the classes `Gauge` and `Counter` of `prom-client` that this module calls. */
interface Metric {
  reset(): void
  remove(): void
  inc(labels: Point['labels'], value: number): void
  set(labels: Point['labels'], value: number): void
}

type MetricClass = new (configuration: {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
  readonly registers: readonly Registry[]
  readonly collect: (this: Metric) => void
}) => unknown

/** The classes of the package `prom-client`, 14 or later, that this module uses. */
export type PromClient = Readonly<Record<'Gauge' | 'Counter', new (configuration: never) => unknown>>

/**
 * Finds and loads prom-client. A plain `require` would also load a package that another user has put into a parent directory.
 *
 * @throws Error when `prom-client` is not installed, or when its copy may belong to another user.
 */
function loadPromClient(): PromClient {
  const refused: string[] = []
  const found = resolvePackage('prom-client', refused)
  if (found) return loadPackage(found) as PromClient
  const why = refused.length > 0 ? ` (${refused.join(', ')})` : ''
  throw new Error(
    `register() needs the package prom-client, 14 or later, but found no usable copy${why}; in a bundle, pass the package as third argument`,
  )
}

function addMetric(
  client: PromClient,
  registry: Registry,
  name: string,
  { kind, description, labels: labelNames, read }: Series,
  source: Source,
): void {
  const Class = client[kind === 'counter' ? 'Counter' : 'Gauge'] as MetricClass
  new Class({
    name,
    help: description,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      // Remove the 0 to which `reset` sets a metric without labels: if there is no value now, the 0 would look like one.
      if (labelNames.length === 0) this.remove()
      for (const { value, labels = {} } of read(source.stats())) {
        if (kind === 'counter') this.inc(labels, value)
        else this.set(labels, value)
      }
    },
  })
}
