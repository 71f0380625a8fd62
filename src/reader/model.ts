import type { CpuOwner, MemoryOwner } from '../makeup/sentence'

/** A function or class and where it stands in the code. Lines and columns count from 1; 0 means unknown. */
export interface Place {
  readonly name: string
  /** Path or URL of the file; empty for code of V8 itself. */
  readonly file: string
  readonly line: number
  readonly column: number
}

/** The answer of a report in one sentence: the function or class to blame, or that none stands out. */
export interface Verdict {
  /** Whether one function or class stands out. */
  readonly found: boolean
  /** The answer, as a whole sentence. */
  readonly sentence: string
  readonly place?: Place
  readonly sharePercent?: number
  /** A second text: what to look at next, or what else is known. */
  readonly hint?: string
}

/**
 * A function with its CPU time, microseconds, or with the memory that it allocated and that is still in use, bytes. `self` is the
 * function's own, `total` includes the functions that it calls.
 */
export interface FunctionRow {
  readonly place: Place
  readonly group: string
  readonly self: number
  readonly total: number
  /** `self` and `total` as percentages, 0 to 100, of the sum of `self` over all functions, which leaves out idle time. */
  readonly selfPercent: number
  readonly totalPercent: number
  readonly callers: readonly { readonly place: Place; readonly percent: number }[]
  /** The function's line with most samples. Absent if the profile has no samples by line, or a source map changes the lines. */
  readonly hotLine?: HotLine
}

export interface HotLine {
  readonly line: number
  /** Percentage of the function's own samples that are at this line, 0 to 100. */
  readonly percent: number
  /** Whether the line lies before the beginning of the function. Such a line belongs to another function, which V8 inlined. */
  readonly isInlined: boolean
}

/** A frame of a flame graph. Frames that are too narrow or too deep to be seen are left out. */
export interface Flame {
  /** Index of the frame's function in `places` of the {@link FlameTree}. */
  readonly place: number
  value: number
  readonly children: Flame[]
}

/** The tables and the flame graph of a profile. Their amounts are CPU time in microseconds, or allocated memory in bytes. */
export interface CallTree {
  readonly total: number
  /** The functions with the largest `self` first. */
  readonly bySelf: readonly FunctionRow[]
  readonly byTotal: readonly FunctionRow[]
  /** Sums of `self` by owner of the code: the application, each package, Node.js, V8. */
  readonly groups: readonly { readonly name: string; readonly self: number; readonly percent: number }[]
  /** All calls of one function by the same caller are one frame. The largest callee of a caller comes first. */
  readonly flame: FlameTree
}

/** A flame graph. `places` has the functions of its frames; `groups` has, for each, the owner of its code, such as a package. */
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
  /**
   * Percentages of the profile's duration, 0 to 100. `collector` (garbage collection) and `program` (native code) are in `busy`.
   */
  readonly shares: {
    readonly busy: number
    readonly idle: number
    readonly collector: number
    readonly program: number
  }
  readonly calls: CallTree
  /** A flame graph in chronological order, idle time included; absent if the profile has no times. */
  readonly overTime?: FlameTree
  /**
   * The function that ran when the profile began, and the function of the application or of a package that called it, directly
   * or through others. Without `caller` if the first function itself is one of these, or has no such caller. Absent if the
   * thread was idle, in garbage collection or in native code then, or if the profile has no times.
   */
  readonly begins?: { readonly place: Place; readonly caller?: Place }
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
  /** Where the constructor of the class is in the code, if the snapshot has it. */
  readonly place?: Place
  readonly count: number
  readonly shallowBytes: number
  readonly retainedBytes: number
  readonly retainedPercent: number
  /** Whether the objects are V8's own: compiled code, object shapes, hidden objects. */
  readonly isSystem: boolean
}

/** One step on the path from an object to a root of the garbage collector. */
export interface Retainer {
  readonly text: string
  readonly place?: Place
}

/** Objects that accumulate in a heap: many of one class under one holder, a chain such as a linked list, or one large object. */
export interface Accumulation {
  readonly className: string
  readonly place?: Place
  readonly count: number
  readonly retainedBytes: number
  readonly percent: number
  /** What keeps the objects alive, e.g. "Map `sessions` in shop.js, via closure of login"; empty if unknown. */
  readonly heldBy: string
  readonly path: readonly Retainer[]
}

export interface SnapshotPart {
  readonly kind: 'snapshot'
  readonly file: string
  readonly verdict: Verdict
  /** Size of all objects, including the memory outside of V8's heap that they own, bytes. */
  readonly totalBytes: number
  /** The part of `totalBytes` that lies outside of V8's heap: mostly contents of Buffers. */
  readonly nativeBytes: number
  readonly objects: number
  readonly makeup: readonly { readonly name: string; readonly bytes: number }[]
  readonly classes: readonly ClassRow[]
  /** The objects that accumulate in the heap and stand out. Absent if none do. */
  readonly accumulation?: Accumulation
  /** The single objects with the largest shallow size (without the objects that they refer to), such as arrays and strings. */
  readonly largest: readonly { readonly name: string; readonly bytes: number }[]
  /** The objects whose content takes the most memory: arrays, Maps, Sets, objects with many keys, and buffers. */
  readonly arrays: readonly {
    readonly name: string
    readonly bytes: number
    /** Number of elements for which V8 has reserved memory; only for arrays. */
    readonly slots?: number
    /** The most frequent classes of the elements. Elements that are numbers or bytes are left out, because they have no class. */
    readonly elements: readonly { readonly className: string; readonly count: number }[]
    /** What keeps the object alive, in plain words; empty if unknown. */
    readonly heldBy: string
  }[]
  /** Variables that closures keep alive, one row per place in the code; and all contexts of the module `vm`, in one row. */
  readonly scopes: readonly {
    /** A function that keeps the variables alive, or `vm context`. */
    readonly name: string
    readonly place?: Place
    /** Number of such scopes that are alive, one for each call whose variables are kept; or the number of `vm` contexts. */
    readonly count: number
    readonly retainedBytes: number
    /** Names of the variables that retain the most memory. */
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

/** How each function's own share of the busy time, and its own CPU time per second, changed between two CPU profiles. */
export interface CpuGrowthPart {
  readonly kind: 'cpu-growth'
  readonly before: string
  readonly file: string
  readonly verdict: Verdict
  /** Percentage of the duration in which the thread was busy, 0 to 100: in the earlier profile, then in the later one. */
  readonly beforeBusyPercent: number
  readonly busyPercent: number
  /**
   * Functions whose share grew, or whose CPU time per second grew while their share stayed the same. The largest change first.
   */
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
  /** The function's own CPU time, ms per second of the profile's duration (idle time included): earlier, then later. */
  readonly beforeMs: number
  readonly ms: number
}

export type Part = CpuPart | CpuGrowthPart | AllocationPart | SnapshotPart | GrowthPart

/** Why and when a dump was made, from the `.json` description that the monitor writes beside each profile or snapshot. */
export interface Circumstances {
  readonly kind: 'cpu' | 'memory'
  readonly rule: string
  readonly details: readonly { readonly name: string; readonly text: string }[]
  readonly threshold?: number
  /** The quantity of `threshold` and `readings`; absent if the metric of the rule is not known or has no unit. */
  readonly metric?: Metric
  /** The worker thread that the artefact is about, such as `worker 3 'resizer'`; absent for the main thread. */
  readonly thread?: string
  /** `threadId` of the worker thread that the artefact is about; absent for the main thread. */
  readonly worker?: number
  /** Whether the rule is about the main thread, not about the whole process. */
  readonly isOfMain: boolean
  /** The thread with most CPU time or the largest kind of memory. Absent if unknown, or if the rule is about the main thread. */
  readonly owner?: Owner
  /**
   * CPU time that the artefact's thread used while its CPU profile was taken, ms; where the system does not show it, the time in
   * which the profile is not idle. Absent for other files, and if unknown.
   */
  readonly busyMs?: number
  /** Time from the order for a CPU profile until the main thread began it, ms. Absent if it was at most 500 ms. */
  readonly lateMs?: number
  readonly readings: readonly { readonly atMs: number; readonly value: number }[]
  /** Readings of CPU, memory and event loop in the minutes before the dump; absent if the description has none. */
  readonly flight?: Flight
  /** CPU by thread, percent of one core. */
  readonly threads: readonly { readonly name: string; readonly percent: number }[]
  /** Memory of the process by owner, such as V8's heap, buffers and worker threads. */
  readonly memory: readonly { readonly name: string; readonly bytes: number }[]
  readonly startedAtMs: number
  readonly durationMs?: number
  readonly pauseMs?: number
  readonly way?: string
  readonly pid?: number
  readonly host?: string
  readonly node?: string
}

/** The quantity that a rule compares with its threshold. */
export interface Metric {
  /** Title of the quantity's drawing in the page. */
  readonly name: string
  readonly unit: Series['unit']
}

/**
 * What used most of the process's CPU time (a thread, garbage collection, or nothing: the process mostly waited), or most of its
 * memory (a kind of memory). The files of the dump may be about something else, such as another thread.
 */
export interface Owner {
  readonly kind: CpuOwner | MemoryOwner
  /** `threadId` of the worker thread that used most; absent if something else did. */
  readonly worker?: number
  /** What used most of the CPU time or memory, with figures, as a whole sentence. */
  readonly sentence: string
}

/** Readings of the flight recorder, which keeps the minutes before a dump. Lists of equal length, the oldest reading first. */
export interface Flight {
  readonly atMs: readonly number[]
  /** One list of readings per figure, such as the CPU use. Figures without any known reading are left out. */
  readonly series: readonly Series[]
}

/** One figure over time, such as the CPU use. */
export interface Series {
  readonly name: string
  readonly unit: 'percent' | 'bytes' | 'ms'
  /** NaN where the reading is not known. */
  readonly values: readonly number[]
}

/** Everything that a report shows. */
export interface Report {
  readonly verdict: Verdict
  readonly title: string
  readonly circumstances?: Circumstances
  readonly parts: readonly Part[]
  /** Other dumps in the directory, one line each. */
  readonly others: readonly string[]
  readonly notes: readonly string[]
}
