import assert from 'node:assert/strict'
import { it } from 'node:test'
import { textOf } from './text'

const setting = { node: 'v20.0.0', cpu: 'a processor', cores: 2, memoryGb: 24, load: [0.1, 0.2] as const }

it('the table of the detect bench has a line for each case, a column for each Node, and the rounds without a file', () => {
  const rows = [
    { node: '20', kind: 'cpu', work: 'loop', wholeAfterMs: [2100, 2900, 2500], without: 0 },
    { node: '26', kind: 'cpu', work: 'loop', wholeAfterMs: [2200], without: 2 },
    { node: '20', kind: 'memory', work: 'free', wholeAfterMs: [], without: 3 },
  ]
  const lines = textOf({ setting, parameters: { rounds: 3 }, rows })
    .split('\n')
    .slice(-3)
  assert.match(lines[0] ?? '', /^dump, main thread +Node 20 +Node 26$/)
  assert.match(lines[1] ?? '', /^cpu, loop +2500 \(2100-2900\) +2200, 2 without a file$/)
  assert.match(lines[2] ?? '', /^memory, free +3 without a file +-$/)
})
