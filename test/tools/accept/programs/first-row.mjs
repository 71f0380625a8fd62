// Whether the first line of a report names what the first row of DevTools names. Pure.

/** From this share on the report lets a function or class stand out, percent. */
const STANDS_OUT_PERCENT = 20
/** From this share of idle time on the report says that the thread was idle, percent. */
const MOSTLY_IDLE_PERCENT = 90

/** The global object and what V8 has for itself: rows of the summary of every heap. DevTools puts them above what they hold. */
const OF_V8 =
  /^(?:global|Window|system \/.*|InternalNode|\((?:compiled code|object shape|array|system|internal.*)\))(?: .*)?$/
/** They hold what fills the heap, and stand above it. */
const CONTAINERS = ['Object', 'Array', 'Map', 'Set', 'Function']

/** The words of the report for rows of DevTools that are no name of the code. */
const WORDS = {
  '(garbage collector)': 'the garbage collector',
  '(program)': 'native code, outside of JavaScript',
  Function: 'closure',
  ArrayBuffer: 'Buffer',
}

/**
 * What is wrong with the first line of a report; `undefined` if nothing is. The line has to name
 *
 * - of Bottom-up of a CPU profile: the first row but `(idle)`,
 * - of "Heavy (bottom up)" of a sampling heap profile: the first row,
 * - of the summary of a heap snapshot: the first row of 20 % of the heap or more that is neither V8's nor a container.
 *
 * A line that no function stands out is right if the first row has less than 20 % as well; that no class does, if it names the
 * first row that is not V8's; and that the thread was idle, if the row `(idle)` has 90 % of the time or more.
 *
 * @param rows - Name and percent, of a CPU profile ms; the largest first. DevTools shows some ten of them, so they do not add up
 * to the whole.
 * @param durationMs - Of a CPU profile.
 */
export function judge({ kind, line, rows, durationMs }) {
  const own = rows.filter(({ name }) => name !== '(idle)' && (kind !== 'heapsnapshot' || !OF_V8.test(name)))
  const [first] = own
  if (first === undefined) return 'DevTools shows no row'
  const idleMs = rows.find(({ name }) => name === '(idle)')?.value ?? 0
  if (/^No function stands out: this thread was idle /.test(line)) {
    const busyPercent = (1 - idleMs / durationMs) * 100
    return busyPercent <= 100 - MOSTLY_IDLE_PERCENT
      ? undefined
      : `DevTools shows ${busyPercent} % busy: ${line}`
  }
  if (/^No single function stands out: the largest, /.test(line)) {
    const percent = kind === 'cpuprofile' ? (first.value / (durationMs - idleMs)) * 100 : first.value
    return percent < STANDS_OUT_PERCENT ? undefined : `${first.name} stands out with ${percent} %: ${line}`
  }
  const named =
    kind === 'heapsnapshot' && !/^No single class stands out: /.test(line) ? contentOf(own) : first
  return isNamed(line, named.name) ? undefined : `DevTools' first row is ${named.name}: ${line}`
}

/** The first row of objects that fill the heap; the first container where only containers do. */
function contentOf(rows) {
  const content = rows.filter(({ name }) => !CONTAINERS.includes(name))
  return content.find(({ value }) => value >= STANDS_OUT_PERCENT) ?? rows[0]
}

function isNamed(line, name) {
  return [name, WORDS[name]].some((words) => words !== undefined && hasWord(line, words))
}

/** As a whole word: `run` is not named by `runner`. */
function hasWord(line, words) {
  const at = line.indexOf(words)
  if (at === -1) return false
  const [before, after] = [line[at - 1] ?? ' ', line[at + words.length] ?? ' ']
  return !/[\w$]/.test(before) && !/[\w$]/.test(after)
}
