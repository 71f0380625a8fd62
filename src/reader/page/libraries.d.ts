// Types of those functions of d3-selection and d3-flame-graph that the page uses. The packages contain no types.

declare module 'd3-selection' {
  export interface Selection {
    datum(value: unknown): Selection
    call(chart: unknown): Selection
  }
  export function select(element: Element): Selection
}

declare module 'd3-flame-graph' {
  /** A frame of the flame graph, as drawn. */
  export interface Frame<Data> {
    readonly data: Data
    readonly parent: Frame<Data> | null
    readonly children?: readonly Frame<Data>[]
    readonly x0: number
    readonly x1: number
    readonly highlight?: boolean
  }

  export interface FlameGraph<Data> {
    (selection: unknown): void
    width(pixels: number): this
    cellHeight(pixels: number): this
    minFrameSize(pixels: number): this
    transitionDuration(ms: number): this
    inverted(isInverted: boolean): this
    label(text: (frame: Frame<Data>) => string): this
    color(color: (frame: Frame<Data>) => string): this
    onClick(handler: (frame: Frame<Data>) => void): this
    setSearchMatch(match: (frame: Frame<Data>, term: string) => boolean): this
    search(term: string): void
    clear(): void
    zoomTo(frame: Frame<Data>): void
    resetZoom(): void
    update(): void
    destroy(): void
  }

  export default function flamegraph<Data>(): FlameGraph<Data>
}
