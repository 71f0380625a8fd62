// The script of the HTML report: draws the flame graphs and moves through them by the keyboard. Without it the page still shows
// everything else.
import type { FlameGraph, Frame } from 'd3-flame-graph'
import flamegraph from 'd3-flame-graph'
import { select } from 'd3-selection'
import type { PackedFlame, PackedGraph } from './packed'

interface Datum {
  readonly name: string
  readonly place: number
  readonly value: number
  readonly children: Datum[]
}

type DatumFrame = Frame<Datum>

const CELL_HEIGHT = 22
const NARROWEST_PIXELS = 1

const data = JSON.parse(document.getElementById('data')?.textContent ?? '[]') as PackedGraph[]
document.querySelectorAll<HTMLElement>('[data-flame]').forEach((element) => {
  const graph = data[Number(element.dataset['flame'])]
  if (graph !== undefined) draw(element, graph)
})

function draw(element: HTMLElement, graph: PackedGraph): void {
  const canvas = child(element, '.canvas')
  const detail = child(element, '.detail')
  const search = child(element, 'input') as HTMLInputElement
  const found = child(element, '.found')
  const order = element.querySelector('.order')
  let total = graph.total
  let chart = show(graph)
  let current: DatumFrame | undefined
  mark()

  canvas.addEventListener('keydown', (event) => {
    const next = step(event.key)
    if (next === undefined) return
    event.preventDefault()
    choose(next)
  })
  canvas.addEventListener('focus', () => choose(current ?? top()))
  canvas.addEventListener('mouseover', (event) => {
    const frame = frameOf(event.target)
    if (frame !== undefined) detail.textContent = describe(frame)
  })
  search.addEventListener('input', () => {
    const term = search.value.trim()
    if (term === '') chart.clear()
    else chart.search(term)
    found.textContent = term === '' ? '' : countOf(term)
    mark()
  })
  child(element, '.all').addEventListener('click', () => {
    clearSearch()
    chart.clear()
    chart.resetZoom()
    choose(top())
  })
  order?.addEventListener('click', () => {
    const isOverTime = order.getAttribute('aria-pressed') !== 'true'
    order.setAttribute('aria-pressed', String(isOverTime))
    clearSearch()
    chart.destroy()
    chart = show((isOverTime ? graph.overTime : undefined) ?? graph)
    choose(top())
  })
  new ResizeObserver(() => {
    chart.width(canvas.clientWidth)
    chart.update()
    mark()
  }).observe(canvas)

  /** Draws a graph by size or over time, as in `order`. Always draws a new one: the library keeps the zoom in the old data. */
  function show(order: Pick<PackedGraph, 'root' | 'total'>): FlameGraph<Datum> {
    total = order.total
    const fresh: FlameGraph<Datum> = flamegraph<Datum>()
      .width(canvas.clientWidth)
      .cellHeight(CELL_HEIGHT)
      .minFrameSize(NARROWEST_PIXELS)
      .transitionDuration(0)
      .inverted(true)
      .label((frame) => describe(frame))
      .color((frame) =>
        frame.highlight === true ? graph.highlight : (graph.colors[groupOf(frame, graph)] ?? '#ccc'),
      )
      .setSearchMatch((frame, term) => matches(frame, term, graph))
      .onClick((frame) => choose(frame))
    select(canvas).datum(unpack(order.root, graph)).call(fresh)
    return fresh
  }

  function clearSearch(): void {
    search.value = ''
    found.textContent = ''
  }

  function describe({ data: { place, value } }: DatumFrame): string {
    const [name = '', location = ''] = graph.places[place] ?? []
    const share = `${((value / total) * 100).toFixed(1)} %`
    const amount =
      graph.unit === 'bytes' ? `${(value / 1e6).toFixed(2)} MB` : `${(value / 1e3).toFixed(1)} ms`
    return `${name}${location === '' ? '' : ` (${location})`}: ${share}, ${amount}`
  }

  /**
   * Returns the frame that a key leads to; `undefined` for keys without a function. Enter also zooms into the current frame. Escape
   * resets the zoom, and leads to the top frame.
   */
  function step(key: string): DatumFrame | undefined {
    const frame = current ?? top()
    const siblings = frame.parent === null ? [frame] : calleesOf(frame.parent)
    const at = siblings.indexOf(frame)
    switch (key) {
      case 'ArrowDown':
        return calleesOf(frame)[0] ?? frame
      case 'ArrowUp':
        return frame.parent ?? frame
      case 'ArrowRight':
        return siblings[at + 1] ?? frame
      case 'ArrowLeft':
        return siblings[at - 1] ?? frame
      case 'Enter':
        chart.zoomTo(frame)
        return frame
      case 'Escape':
        chart.resetZoom()
        return top()
      default:
        return undefined
    }
  }

  function choose(frame: DatumFrame): void {
    current = frame
    detail.textContent = describe(frame)
    mark()
  }

  /**
   * Outlines the current frame, scrolls to it if the graph has the focus, and gives frames their final width without animation.
   * Call after each drawing.
   */
  function mark(): void {
    for (const element of canvas.querySelectorAll('g.frame')) {
      element.querySelector('rect')?.setAttribute('width', element.getAttribute('width') ?? '0')
      const isCurrent = frameOf(element) === current
      element.classList.toggle('current', isCurrent)
      if (isCurrent && document.activeElement === canvas) element.scrollIntoView({ block: 'nearest' })
    }
  }

  function top(): DatumFrame {
    return (canvas.firstElementChild?.querySelector('g') as unknown as { __data__: DatumFrame }).__data__
  }

  function countOf(term: string): string {
    let count = 0
    const visit = (frame: DatumFrame): void => {
      if (matches(frame, term, graph)) count += 1
      frame.children?.forEach(visit)
    }
    let root = top()
    while (root.parent !== null) root = root.parent
    visit(root)
    return `${count} found`
  }
}

function unpack([place, value, children]: PackedFlame, graph: PackedGraph): Datum {
  return {
    name: graph.places[place]?.[0] ?? '',
    place,
    value,
    children: children.map((below) => unpack(below, graph)),
  }
}

function groupOf({ data: { place } }: DatumFrame, { places }: PackedGraph): number {
  return places[place]?.[2] ?? 0
}

function matches({ data: { place } }: DatumFrame, term: string, { places }: PackedGraph): boolean {
  const [name = '', location = ''] = places[place] ?? []
  return `${name} ${location}`.toLowerCase().includes(term.toLowerCase())
}

/** The callees of a frame, without the nameless gaps, which stand for the frame's own time. */
function calleesOf({ children = [] }: DatumFrame): readonly DatumFrame[] {
  return children.filter(({ data }) => data.name !== '')
}

/** The frame that an element shows. d3, with which d3-flame-graph draws, stores it in the element's `__data__`. */
function frameOf(target: EventTarget | null): DatumFrame | undefined {
  const element = target instanceof Element ? target.closest('g.frame') : null
  return (element as unknown as { __data__?: DatumFrame } | null)?.__data__
}

function child(element: HTMLElement, selector: string): HTMLElement {
  const found = element.querySelector<HTMLElement>(selector)
  if (found === null) throw new Error(`the page has no ${selector}`)
  return found
}
