import { loadPackage, resolvePackage } from '../../capture/engines'
import { type Point, prometheusName, type Series, seriesFor, type Stats } from './series'

/** A monitor, or what `run` of `cpu-memory-monitor/cluster` returns. */
export interface Source {
  stats(): Stats
}

/** The part of a `Meter` of `@opentelemetry/api`, 1.3 or later, that is used. */
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

/** The part of a `Registry` of `prom-client`, 14 or later, that is used. */
export interface Registry {
  registerMetric(metric: never): void
  removeSingleMetric(name: string): void
}

/**
 * Offers the series of a monitor or a cluster to OpenTelemetry. They are read when the SDK collects; no timer is started.
 *
 * @param meter - Such as `metrics.getMeter('cpu-memory-monitor')` of `@opentelemetry/api`.
 * @returns Ends it: from then on nothing is observed.
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

/** `never`: its type is the meter's own. */
function instrumentOf(meter: Meter, { name, kind, unit, description }: Series): never {
  const options = { unit, description }
  const instrument =
    kind === 'counter'
      ? meter.createObservableCounter(name, options)
      : meter.createObservableGauge(name, options)
  return instrument as never
}

/**
 * Puts the series of a monitor or a cluster into a registry of `prom-client`. They are read when it is scraped; no timer is started.
 *
 * @param registry - Such as `register` of `prom-client`, its default registry.
 * @param client - The package `prom-client`, where it is part of a bundle. @defaultValue the one that is installed beside this package or
 * the program
 * @returns Takes them out again.
 * @throws Error when `prom-client` is not installed, or when the registry has a metric of one of the names already; it is unchanged then.
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

/** The part of the classes of `prom-client` that is used. */
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

/** The part of the package `prom-client`, 14 or later, that is used. */
export type PromClient = Readonly<Record<'Gauge' | 'Counter', new (configuration: never) => unknown>>

/** Not by a plain `require`, which takes a package that another user has put into a directory above. */
function loadPromClient(): PromClient {
  const refused: string[] = []
  const found = resolvePackage('prom-client', refused)
  if (found) return loadPackage(found) as PromClient
  const why = refused.length > 0 ? ` (${refused.join(', ')})` : ''
  throw new Error(
    `register() needs the package prom-client, 14 or later${why}; of a bundle, as its third argument`,
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
      // A metric without labels is set to 0 by a reset, which would pass for a reading.
      if (labelNames.length === 0) this.remove()
      for (const { value, labels = {} } of read(source.stats())) {
        if (kind === 'counter') this.inc(labels, value)
        else this.set(labels, value)
      }
    },
  })
}
