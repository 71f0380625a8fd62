import { createHash } from 'node:crypto'
import type { CallTree, Flame, FlameTree, Part, Report, SnapshotPart } from '../model'
import type { Table } from '../output/tables'
import { circumstancesLines, summaryOf, tablesOf } from '../output/tables'
import { APPLICATION, locationOf, NODE, V8 } from '../place'
import { printable } from '../units'
import { Html, html, scriptJson } from './html'
import { drawMakeup } from './makeup'
import type { PackedFlame, PackedGraph } from './packed'
import { drawTimeline } from './timeline'

const COLORS: ReadonlyMap<string, string> = new Map([
  [APPLICATION, '#ffb27d'],
  [NODE, '#b7d7a8'],
  [V8, '#cfccc6'],
])
const PACKAGE_COLORS = [
  '#9fc5e8',
  '#d5a6bd',
  '#ffe08a',
  '#b4a7d6',
  '#a2d9d9',
  '#e6b8af',
  '#c9daf8',
  '#d9d59a',
]
const HIGHLIGHT = '#ff5fd2'
/** Columns that are hidden on a narrow screen, if the table has more than three columns. */
const OPTIONAL = new Set(['Package', 'Shallow', 'Amount'])

const TEXT_CLASSES: Readonly<Record<string, string>> = { Package: 'short', Where: 'where' }

/** Script and style sheet of the page, from dist/reader. */
export interface PageAssets {
  readonly script: string
  readonly style: string
}

/**
 * Writes the report as one HTML page, which loads nothing from the network or from files. Only the flame graph needs a script.
 * The page's content security policy allows this script by its hash.
 */
export function writePage(report: Report, { script, style }: PageAssets): string {
  const { verdict, title, circumstances, parts, others, notes } = report
  const graphs = parts.flatMap((part) => graphOf(part) ?? [])
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${shown(title)}</title>
        ${element('style', style)}
      </head>
      <body>
        <header>
          <p class="kicker">${shown(title)}</p>
          <h1>${headline(verdict.sentence)}</h1>
          ${verdict.hint === undefined ? '' : html`<p class="hint">${shown(verdict.hint)}</p>`}
        </header>
        <main>
          ${
            circumstances === undefined
              ? ''
              : html`<section>
                  <h2>Why, when and where</h2>
                  <dl>${circumstancesLines(circumstances).map(fact)}</dl>
                  ${drawTimeline(circumstances)} ${drawMakeup(circumstances)}
                </section>`
          }
          ${parts.map((part) => section(part, report, graphs))}
          ${
            others.length === 0
              ? ''
              : html`<section>
                  <h2>Other incidents in this directory</h2>
                  <ul>
                    ${others.map(item)}
                  </ul>
                </section>`
          }
          ${
            notes.length === 0
              ? ''
              : html`<section>
                  <h2>Notes</h2>
                  <ul>
                    ${notes.map(item)}
                  </ul>
                </section>`
          }
        </main>
        <footer>
          <p>
            Written by cpu-memory-monitor. The page holds names and strings of the application: share it as
            you would share the file.
          </p>
        </footer>
        <script type="application/json" id="data">
          ${scriptJson(graphs.map(({ graph }) => graph))}
        </script>
        ${element('script', script)}
      </body>
    </html> `
  return page.text
}

/** A `<style>` or `<script>` element. Adds no space to the content, because the page allows only content of exactly this hash. */
function element(name: 'style' | 'script', content: string): Html {
  return new Html(`<${name}>${content}</${name}>`)
}

interface DrawnGraph {
  readonly part: Part
  readonly graph: PackedGraph
}

function section(part: Part, { verdict }: Report, graphs: readonly DrawnGraph[]): Html {
  const index = graphs.findIndex((drawn) => drawn.part === part)
  const graph = graphs[index]?.graph
  const tables = tablesOf(part).filter(({ rows }) => rows.length > 0)
  return html`<section>
    <h2>${shown(summaryOf(part))}</h2>
    ${part.verdict === verdict ? '' : html`<p>${shown(part.verdict.sentence)}</p>`}
    ${part.kind === 'snapshot' ? retainers(part) : ''} ${graph === undefined ? '' : flameGraph(graph, index)}
    ${tables.map((one) => table(one, culpritOf(part)))}
    ${part.notes.map((note) => html`<p class="note">${shown(note)}</p>`)}
  </section> `
}

function flameGraph(graph: PackedGraph, index: number): Html {
  const id = `detail-${index}`
  const unit = graph.unit === 'bytes' ? 'live bytes' : 'busy CPU time'
  return html`<h3>Flame graph</h3>
    <div data-flame="${index}">
      <p class="note">
        The width of a function is its ${unit}. Each function stands below its caller, the widest first.
        ${graph.overTime === undefined ? '' : '"Over time" shows the profile from its beginning to its end, idle time included.'}
        Arrow keys go from function to function, Enter zooms in, Escape shows all.
      </p>
      <div class="toolbar">
        <label>Search <input type="search" autocomplete="off" /></label
        ><button type="button" class="all">Show all</button
        >${graph.overTime === undefined ? '' : html`<button type="button" class="order" aria-pressed="false">Over time</button>`}<span
          class="found"
          role="status"
        ></span>
      </div>
      <div
        class="canvas"
        tabindex="0"
        role="group"
        aria-label="Flame graph of ${unit}"
        aria-describedby="${id}"
      ></div>
      <p class="detail" id="${id}" aria-live="polite"></p>
      <ul class="legend">
        ${graph.groups.map(
          (name, at) =>
            html`<li>
              <svg viewBox="0 0 10 10" aria-hidden="true">
                <rect width="10" height="10" fill="${graph.colors[at] ?? ''}" /></svg
              >${shown(name)}
            </li>`,
        )}
      </ul>
    </div>`
}

function retainers({ accumulation }: SnapshotPart): Html {
  if (accumulation === undefined || accumulation.path.length === 0) return html``
  return html`<h3>What holds ${shown(accumulation.className)}, from the object to a root</h3>
    <ol>
      ${accumulation.path.map(
        ({ text, place }) =>
          html`<li>
            ${shown(text)}${place === undefined ? '' : html` <span class="note">${shown(locationOf(place))}</span>`}
          </li>`,
      )}
    </ol>`
}

/** The name of the function or class in the verdict, to mark its table row; `undefined` if none stands out. */
function culpritOf(part: Part): string | undefined {
  if (!part.verdict.found) return undefined
  return part.kind === 'snapshot' ? part.accumulation?.className : part.verdict.place?.name
}

function table({ title, columns, rows, details }: Table, culprit: string | undefined): Html {
  const textColumn = columns.findIndex(({ isNumber }) => !isNumber)
  const classOf = (column: number): string => {
    const { name = '', isNumber = false } = columns[column] ?? {}
    const isOptional = columns.length > 3 && OPTIONAL.has(name)
    return `${isNumber ? 'number' : (TEXT_CLASSES[name] ?? 'text')}${isOptional ? ' optional' : ''}`
  }
  const cell = (text: string, column: number, row: number): Html => {
    const detail = column === textColumn ? (details?.[row] ?? '') : ''
    // A no-break space keeps the percent sign on the line of its number, because the column is narrow.
    const unbroken = shown(detail).replaceAll(' %', '\u00a0%')
    const below = detail === '' ? '' : html`<span class="below">${unbroken}</span>`
    return html`<td class="${classOf(column)}">${shown(text)}${below}</td>`
  }
  return html`<h3>${shown(title)}</h3>
    <div class="table" tabindex="0" role="region" aria-label="${shown(title)}">
      <table>
        <thead>
          <tr>
            ${columns.map(({ name }, column) => html`<th scope="col" class="${classOf(column)}">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row, at) =>
              html`<tr class="${culprit !== undefined && row.includes(culprit) ? 'culprit' : ''}">
                ${row.map((text, column) => cell(text, column, at))}
              </tr> `,
          )}
        </tbody>
      </table>
    </div>`
}

function fact(line: string): Html {
  const at = line.indexOf(': ')
  return html`<dt>${line.slice(0, at)}</dt>
    <dd>${shown(line.slice(at + 2))}</dd>`
}

function item(line: string): Html {
  return html`<li>${shown(line)}</li>`
}

/** The verdict as markup: names between backticks become `<code>`, and long paths may break before each slash. */
function headline(sentence: string): Html[] {
  return shown(sentence)
    .split('`')
    .map((text, index) => {
      const pieces = text.split('/').map((piece, at) => (at === 0 ? html`${piece}` : html`/<wbr />${piece}`))
      return index % 2 === 1 ? html`<code>${pieces}</code>` : html`${pieces}`
    })
}

/** Text from a file, with characters escaped that would change how other text is shown. */
function shown(text: string): string {
  return printable(text)
}

function graphOf(part: Part): DrawnGraph | undefined {
  if (part.kind !== 'cpu' && part.kind !== 'allocation') return undefined
  if (Math.round(part.calls.total) === 0) return undefined
  const graph =
    part.kind === 'cpu' ? pack(part.calls, 'microseconds', part.overTime) : pack(part.calls, 'bytes')
  return { part, graph }
}

function pack({ flame, total }: CallTree, unit: PackedGraph['unit'], overTime?: FlameTree): PackedGraph {
  const trees = [flame, ...(overTime ? [overTime] : [])]
  const groupNames = trees.flatMap((tree) => tree.groups)
  const groups = [...new Set(groupNames)].sort((one, other) => rank(one) - rank(other))
  const indexes = new Map(groups.map((name, index) => [name, index]))
  let next = 0
  return {
    unit,
    total,
    groups,
    colors: groups.map(
      (name) => COLORS.get(name) ?? PACKAGE_COLORS[next++ % PACKAGE_COLORS.length] ?? '#cccccc',
    ),
    highlight: HIGHLIGHT,
    places: trees
      .flatMap(({ places }) => places)
      .map((place, index) => [
        printable(place.name),
        printable(locationOf(place)),
        indexes.get(groupNames[index] ?? '') ?? 0,
      ]),
    root: packFlame(flame.root, 0),
    ...(overTime && {
      overTime: { root: packFlame(overTime.root, flame.places.length), total: overTime.root.value },
    }),
  }
}

/**
 * Converts a frame and its callees for the page's script. The recursion is safe: `Flame` trees have a limited depth.
 *
 * @param offset - Number of entries in the graph's list of places before those of this tree.
 */
function packFlame({ place, value, children }: Flame, offset: number): PackedFlame {
  return [offset + place, Math.round(value), children.map((child) => packFlame(child, offset))]
}

function rank(group: string): number {
  const order = [APPLICATION, NODE, V8]
  const at = order.indexOf(group)
  return at === 0 ? 0 : at < 0 ? 1 : at + 1
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
