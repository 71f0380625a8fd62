// Every attack that was ever tried, as a real second user where it needs one, on every supported Node. Each race is run 200 times,
// over all ways of writing a file together. A line for each row of the table on stderr; it fails when one round is lost, and when a row
// was not tried at all. CMM_NODES (20,22,24,26), CMM_ATTACK_ROUNDS (200). Needs root, useradd and a C compiler.
import { onEachNode } from './programs/on-each-node.mjs'

onEachNode('attacks-here.mjs')
