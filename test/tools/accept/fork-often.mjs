// Forked snapshots one after the other, of an application under allocation load with busy workers, thread pool and inspector,
// on every supported Node: at least 99 % whole files after retries, and an application that serves on, every time.
// CMM_NODES (20,22,24,26), CMM_COUNT (200) dumps on each, CMM_HEAP_MB (20).
import { onEachNode } from './programs/on-each-node.mjs'

onEachNode('fork-often-here.mjs')
