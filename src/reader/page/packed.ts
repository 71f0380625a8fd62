/** A frame: its place, its value, its callees. */
export type PackedFlame = readonly [place: number, value: number, children: readonly PackedFlame[]]

/** A flame graph in the form that the page's script reads. */
export interface PackedGraph {
  readonly unit: 'microseconds' | 'bytes'
  readonly total: number
  readonly places: readonly (readonly [name: string, location: string, group: number])[]
  readonly groups: readonly string[]
  /** One colour for each group, on which black text can be read. */
  readonly colors: readonly string[]
  readonly highlight: string
  readonly root: PackedFlame
  /** The same in the order of the time, and the whole time; only of CPU profiles. */
  readonly overTime?: { readonly root: PackedFlame; readonly total: number }
}
