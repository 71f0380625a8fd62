/** A file of evidence: whole, synced, under its final name. */
export interface Artefact {
  readonly file: string
  readonly sizeBytes: number
}

/** What stands in `<full file name>.json` beside each artefact. */
export interface Sidecar {
  /** Marks the file as ours; retention touches nothing without it. */
  readonly tool: 'cpu-memory-monitor'
  readonly version: string
  /** Full name of the artefact that this file describes. */
  readonly artefact: string
  readonly why: {
    readonly kind: 'cpu' | 'memory'
    readonly rule: 'threshold' | 'blocked' | 'leak' | 'manual'
    /** The rule's own words and numbers: threshold, counter, trend, signal. */
    readonly details: Readonly<Record<string, unknown>>
    /** The latest readings before the trip, oldest first. */
    readonly readings: readonly { readonly at: string; readonly value: number }[]
  }
  readonly how: {
    readonly way: string
    readonly passedOver: readonly { readonly way: string; readonly why: string }[]
    readonly pauseMs: number
    readonly durationMs: number
    readonly sizeBytes: number
    /** What a way has to add, e.g. the child's peak memory, or that one full GC was forced. */
    readonly notes?: Readonly<Record<string, unknown>>
  }
  readonly where: {
    readonly node: string
    readonly v8: string
    readonly pid: number
    readonly host: string
    /** Absolute path; retention compares it, letter by letter, with the directory that it looks after. */
    readonly directory: string
    readonly startedAt: string
    readonly limits: Readonly<Record<string, number | string>>
  }
}

/** The sidecar of an artefact that is still being written: how it was made is not known yet. */
export type DraftSidecar = Omit<Sidecar, 'how'>

/** What whoever captured an artefact tells about the capture; the size is measured here. */
export type How = Omit<Sidecar['how'], 'sizeBytes'>
