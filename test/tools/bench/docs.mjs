// Writes the tables of docs/benchmarks.md, the figures of the README and of docs/costs.md, and the pictures, from the figures in
// results: npm run bench -- docs [--no-pictures]
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { require as requireTs } from 'tsx/cjs/api'

const { PAGES, updated } = requireTs('./docs/pages.ts', import.meta.url)
const repository = fileURLToPath(new URL('../../../', import.meta.url))
const { values } = parseArgs({ options: { 'no-pictures': { type: 'boolean' } } })

for (const page of PAGES) {
  const file = `${repository}${page}`
  writeFileSync(file, updated(page, readFileSync(file, 'utf8')))
}
if (!values['no-pictures']) {
  const { pictures } = requireTs('./docs/pictures.ts', import.meta.url)
  for (const [name, svg] of Object.entries(await pictures())) writeFileSync(`${repository}docs/${name}`, svg)
}
