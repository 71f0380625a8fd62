import type { CpuOwner, MemoryOwner } from '../makeup/sentence'

/** A function or class and where it stands in the code. Lines and columns count from 1; 0 means unknown. */
export interface Place {
  readonly name: string
  /** Path or URL of the file; empty for code of V8 itself. */
  readonly file: string
  readonly line: number
  readonly column: number
}

/** The function or class to blame, in one sentence. */
export interface Verdict {
  /** Whether one function or class stands out. */
  readonly found: boolean
  /** The whole answer. */
  readonly sentence: string
  readonly place?: Place
  readonly sharePercent?: number
  /** What to look at next. */
  readonly hint?: string
}

/** A function with what was counted for it: microseconds of CPU, or bytes. */
export interface FunctionRow {
  readonly place: Place
  readonly group: string
  readonly self: number
  readonly total: number
  /** Self and total as a share of everything counted except idle time, percent. */
  readonly selfPercent: number
  readonly totalPercent: number
  readonly callers: readonly { readonly place: Place; readonly percent: number }[]
  /** The line that ran most often while the function was on top. Absent where the profile or the source has no lines. */
  readonly hotLine?: HotLine
}

export interface HotLine {
  readonly line: number
  /** Share of the function's own samples. */
  readonly percent: number
  /** Whether the line stands before the function begins: it is of a function that V8 inlined. */
  readonly isInlined: boolean
}

/** A frame of a flame graph. Frames too narrow to be seen are left out. */
export interface Flame {
  /** Index into the table of places. */
  readonly place: number
  value: number
  readonly children: Flame[]
}

/** Everything that is reported of a tree of calls: of its CPU time or of its bytes. */
export interface CallTree {
  readonly total: number
  /** Rows with the largest own share first. */
  readonly bySelf: readonly FunctionRow[]
  readonly byTotal: readonly FunctionRow[]
  /** The application's code, each package, Node.js, V8. */
  readonly groups: readonly { readonly name: string; readonly self: number; readonly percent: number }[]
  /** Callees of one caller are merged, the largest first. */
  readonly flame: FlameTree
}

/** A flame graph with the places of its frames and their groups. */
export interface FlameTree {
  readonly places: readonly Place[]
  readonly groups: readonly string[]
  readonly root: Flame
}

export interface CpuPart {
  readonly kind: 'cpu'
  readonly file: string
  readonly verdict: Verdict
  readonly durationMs: number
  readonly samples: number
  /** Shares of the profile's duration, percent. */
  readonly shares: {
    readonly busy: number
    readonly idle: number
    readonly collector: number
    readonly program: number
  }
  readonly calls: CallTree
  /** The stacks in the order of the time, idle time included; absent for a profile without times. */
  readonly overTime?: FlameTree
  readonly notes: readonly string[]
}

export interface AllocationPart {
  readonly kind: 'allocation'
  readonly file: string
  readonly verdict: Verdict
  readonly bytes: number
  readonly calls: CallTree
  readonly notes: readonly string[]
}

export interface ClassRow {
  readonly name: string
  /** The place of its constructor, if the snapshot has it. */
  readonly place?: Place
  readonly count: number
  readonly shallowBytes: number
  readonly retainedBytes: number
  readonly retainedPercent: number
  /** Objects of V8 itself: compiled code, object shapes, hidden objects. */
  readonly isSystem: boolean
}

/** One step on the way from an object to a root. */
export interface Retainer {
  readonly text: string
  readonly place?: Place
}

/** What accumulates in a heap: many objects of one class under one holder, or one large object. */
export interface Accumulation {
  readonly className: string
  readonly place?: Place
  readonly count: number
  readonly retainedBytes: number
  readonly percent: number
  /** In plain words, e.g. "Map `sessions` in shop.js, via closure of login"; empty if unknown. */
  readonly heldBy: string
  readonly path: readonly Retainer[]
}

export interface SnapshotPart {
  readonly kind: 'snapshot'
  readonly file: string
  readonly verdict: Verdict
  /** Size of all objects, with the memory outside of the heap that they own. */
  readonly totalBytes: number
  /** Of that, what lies outside of the heap: contents of Buffers for the most part. */
  readonly nativeBytes: number
  readonly objects: number
  readonly makeup: readonly { readonly name: string; readonly bytes: number }[]
  readonly classes: readonly ClassRow[]
  /** What the verdict is about; without one, the largest class of the application. */
  readonly accumulation?: Accumulation
  /** Single objects with the largest size of their own: arrays, buffers, strings. */
  readonly largest: readonly { readonly name: string; readonly bytes: number }[]
  /** Arrays, Maps, Sets, objects with many keys, and buffers with the largest storage. */
  readonly arrays: readonly {
    readonly name: string
    readonly bytes: number
    /** Elements for which an array has room. */
    readonly slots?: number
    /** The classes of most elements; none for numbers and bytes. */
    readonly elements: readonly { readonly className: string; readonly count: number }[]
    /** In plain words; empty if unknown. */
    readonly heldBy: string
  }[]
  /** Variables that functions keep alive, by the place of the function in the code; and contexts of `vm`, as one row. */
  readonly scopes: readonly {
    /** A function that keeps the variables, or `vm context`. */
    readonly name: string
    readonly place?: Place
    /** How many scopes of this place in the code are alive. */
    readonly count: number
    readonly retainedBytes: number
    /** Those that retain the most. */
    readonly variables: readonly string[]
    readonly heldBy: string
  }[]
  readonly duplicateStrings: readonly {
    readonly text: string
    readonly count: number
    readonly bytes: number
  }[]
  readonly notes: readonly string[]
}

/** How each class changed between two snapshots of one process. */
export interface GrowthPart {
  readonly kind: 'growth'
  readonly before: string
  readonly file: string
  readonly verdict: Verdict
  readonly grownBytes: number
  readonly classes: readonly {
    readonly name: string
    readonly place?: Place
    readonly countGrowth: number
    readonly shallowGrowth: number
    readonly retainedGrowth: number
    readonly count: number
    readonly retainedBytes: number
  }[]
  readonly notes: readonly string[]
}

/** How the share and the time of each function changed between two CPU profiles. */
export interface CpuGrowthPart {
  readonly kind: 'cpu-growth'
  readonly before: string
  readonly file: string
  readonly verdict: Verdict
  /** Share of each profile's duration in which the thread was busy, percent. */
  readonly beforeBusyPercent: number
  readonly busyPercent: number
  /** Functions with the largest change of their share first, percent of the busy time. */
  readonly grown: readonly FunctionGrowth[]
  readonly shrunk: readonly FunctionGrowth[]
  readonly notes: readonly string[]
}

export interface FunctionGrowth {
  readonly place: Place
  readonly group: string
  readonly beforePercent: number
  readonly percent: number
  readonly growthPercent: number
  /** CPU time per second of the profile's duration, idle time included, ms. */
  readonly beforeMs: number
  readonly ms: number
}

export type Part = CpuPart | CpuGrowthPart | AllocationPart | SnapshotPart | GrowthPart

/** What the description beside an artefact adds: the reason and the circumstances of the dump. */
export interface Circumstances {
  readonly kind: 'cpu' | 'memory'
  readonly rule: string
  readonly details: readonly { readonly name: string; readonly text: string }[]
  readonly threshold?: number
  /** What threshold and readings are about; absent for a rule whose metric has no unit or is not known. */
  readonly metric?: Metric
  /** The worker thread that the artefact is about, such as `worker 3 'resizer'`; absent for the main thread. */
  readonly thread?: string
  /** Its `threadId`. */
  readonly worker?: number
  /** Whether the rule is about the main thread, not about the process. */
  readonly isOfMain: boolean
  /** Owner of most of the CPU time or memory of the process; absent if it is not known, and for a rule about the main thread. */
  readonly owner?: Owner
  /** CPU time of the thread during a CPU dump, ms. */
  readonly busyMs?: number
  readonly readings: readonly { readonly atMs: number; readonly value: number }[]
  /** The minutes before the dump; absent if the description has none. */
  readonly flight?: Flight
  /** CPU by thread, percent of one core. */
  readonly threads: readonly { readonly name: string; readonly percent: number }[]
  /** Resident memory by owner. */
  readonly memory: readonly { readonly name: string; readonly bytes: number }[]
  readonly startedAtMs: number
  readonly durationMs?: number
  readonly pauseMs?: number
  readonly way?: string
  readonly pid?: number
  readonly host?: string
  readonly node?: string
}

/** The quantity that a rule reads. */
export interface Metric {
  /** Title of a drawing. */
  readonly name: string
  readonly unit: Series['unit']
}

/** The owner of most of the CPU time or memory of the process, which the artefact may not show. */
export interface Owner {
  readonly kind: CpuOwner | MemoryOwner
  /** `threadId` of the worker thread that it is. */
  readonly worker?: number
  /** The whole answer. */
  readonly sentence: string
}

/** What the flight recorder kept: figures of equal length, the oldest reading first. */
export interface Flight {
  readonly atMs: readonly number[]
  /** Those of which at least one reading is known. */
  readonly series: readonly Series[]
}

/** One figure over the time. */
export interface Series {
  readonly name: string
  readonly unit: 'percent' | 'bytes' | 'ms'
  /** NaN: not known. */
  readonly values: readonly number[]
}

/** Everything that a report shows. */
export interface Report {
  readonly verdict: Verdict
  readonly title: string
  readonly circumstances?: Circumstances
  readonly parts: readonly Part[]
  /** Other incidents in the folder, one line each. */
  readonly others: readonly string[]
  readonly notes: readonly string[]
}
