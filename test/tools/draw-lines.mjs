// Draws comments and lines at random from src, to judge whether they are understood at first reading.
//
//   node test/tools/draw-lines.mjs [--count=10] [--seed=N] [path …]
//
// A line is a text that is logged or thrown. The seed is printed, so that a draw can be repeated.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** Longest piece of code that is shown with a comment or a line. */
const CODE_CHARACTERS = 240

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const args = process.argv.slice(2)
const option = (name) => args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3)
const count = Number(option('count') ?? 10)
const seed = Number(option('seed') ?? Date.now() % 1_000_000)
const paths = args.filter((arg) => !arg.startsWith('--'))

const files = (paths.length > 0 ? paths : ['src']).flatMap((path) => sourcesIn(join(root, path)))
const random = randomNumbers(seed)
console.log(`seed ${seed}`)
for (const [title, found] of [
  ['comments', files.flatMap(commentsOf)],
  ['lines', files.filter((file) => file.endsWith('.ts')).flatMap(linesOf)],
]) {
  console.log(`\n${title}: ${Math.min(count, found.length)} of ${found.length}`)
  for (const { place, text, code } of draw(found, count)) console.log(`\n${place}\n${text}\n  code: ${code}`)
}

function sourcesIn(path) {
  if (statSync(path).isDirectory()) return readdirSync(path).flatMap((name) => sourcesIn(join(path, name)))
  return /\.(ts|c|h)$/.test(path) ? [path] : []
}

/** Neighbouring line comments are one. What speaks to a tool alone is none. Each with the line of code below it. */
function commentsOf(file) {
  const text = readFileSync(file, 'utf8')
  const pattern = /\/\*[\s\S]*?\*\/|(?:^|(?<=\s))\/\/.*(?:\n\s*\/\/.*)*/gm
  return [...text.matchAll(pattern)]
    .map(({ 0: comment, index }) => ({
      place: placeOf(file, text, index),
      code: text
        .slice(index + comment.length)
        .trim()
        .split('\n', 1)[0]
        .slice(0, CODE_CHARACTERS),
      text: comment
        .replace(/^\s*(?:\/\*\*?|\*\/|\*|\/\/)? ?/gm, '')
        .replace(/\s*\*\/$/, '')
        .trim(),
    }))
    .filter(({ text }) => !/^(eslint-|@\w+$)/.test(text))
}

/**
 * Texts of several words that are part of no type; parts that are only known at run time are shown as `…`. Each with the statement
 * that it stands in, because many are the end of a line that begins elsewhere.
 */
function linesOf(file) {
  const text = readFileSync(file, 'utf8')
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const lines = []
  const visit = (node) => {
    if (ts.isTypeNode(node)) return
    const line = ts.isStringLiteralLike(node)
      ? node.text
      : ts.isTemplateExpression(node)
        ? node.head.text + node.templateSpans.map((span) => `…${span.literal.text}`).join('')
        : undefined
    if (
      line !== undefined &&
      line.split(/\s+/).filter((word) => /[a-z]/i.test(word)).length >= 4 &&
      !line.includes('<')
    )
      lines.push({ place: placeOf(file, text, node.getStart()), text: line.trim(), code: statementOf(node) })
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return lines
}

function statementOf(node) {
  let at = node
  while (at.parent !== undefined && !ts.isStatement(at) && !ts.isPropertyAssignment(at)) at = at.parent
  return at.getText().replace(/\s+/g, ' ').slice(0, CODE_CHARACTERS)
}

function placeOf(file, text, index) {
  return `${relative(root, file)}:${text.slice(0, index).split('\n').length}`
}

function draw(found, count) {
  const left = [...found]
  return Array.from(
    { length: Math.min(count, left.length) },
    () => left.splice(Math.floor(random() * left.length), 1)[0],
  )
}

/** A linear congruential generator: good enough to draw, and the same on every machine. */
function randomNumbers(seed) {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
