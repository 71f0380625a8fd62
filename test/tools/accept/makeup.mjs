// Programs with one guilty part each, on each Node: the log line, the event and the .json name it. CMM_NODES, CMM_SHAPES.
import assert from 'node:assert/strict'
import { onEachNode } from './programs/on-each-node.mjs'

const nodes = onEachNode('makeup-here.mjs')
  .split('; ')
  .map((line) => JSON.parse(line))
const right = nodes.reduce((sum, node) => sum + node.right, 0)
const all = nodes.reduce((sum, node) => sum + node.all, 0)
for (const { node, wrong } of nodes) for (const line of wrong) console.error(`${node}: ${line}`)
console.log(`${right} of ${all} named right on ${nodes.map(({ node }) => node).join(', ')}`)
assert.equal(right, all)
