/** A frame of a flame graph: the index of its function in `places`, its value in the graph's `unit`, and its callees. */
export type PackedFlame = readonly [place: number, value: number, children: readonly PackedFlame[]]

/** A flame graph as JSON for the page's script. */
export interface PackedGraph {
  readonly unit: 'microseconds' | 'bytes'
  readonly total: number
  readonly places: readonly (readonly [name: string, location: string, group: number])[]
  readonly groups: readonly string[]
  /** One colour for each group, on which black text can be read. */
  readonly colors: readonly string[]
  readonly highlight: string
  readonly root: PackedFlame
  /** The same profile in chronological order, with its idle times; `total`: its duration, microseconds. Absent if the profile has no times. */
  readonly overTime?: { readonly root: PackedFlame; readonly total: number }
}
