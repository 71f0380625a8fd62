import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { watch } from './watched-program'

const MEMORY = { interval: 200, counter: 2 }

describe('memory that a main thread takes in one synchronous go', { concurrency: 2 }, () => {
  test('is dumped while it spins: a whole snapshot that names the class', async (t) => {
    const program = watch(t, { memory: { ...MEMORY, threshold: '180mb' } }, 'hoarder')
    const file = await program.leaves(/^memory-\d+-\d+\.heapsnapshot$/)
    assert.equal(program.child.exitCode, null)
    program.child.kill('SIGKILL')
    await program.exited
    assert.ok(countIn(file, 'GuiltyRecord') > 1000)
    assert.deepEqual(program.types('dump'), [], 'the file was there before the main thread could say so')
  })

  test('is not dumped below the threshold, and a dump in place is not a blocked loop', async (t) => {
    const options = { memory: { ...MEMORY, threshold: '10gb' }, cpu: { threshold: 10_000, blocked: 1000 } }
    const program = watch(t, options, 'sleep')
    await program.hearsType('turns')
    program.child.kill('SIGUSR2')
    const { dump } = await program.hearsType('dump')
    assert.equal(dump?.rule, 'manual')
    program.child.stdin.write('stop')
    await program.hearsType('stopped')
    assert.deepEqual(program.files(/^(memory|blocked)/), [])
  })
})

/** How many objects of that class a snapshot holds. */
function countIn(file: string, className: string): number {
  const { snapshot, nodes, strings } = JSON.parse(readFileSync(file, 'utf8')) as {
    snapshot: { meta: { node_fields: string[] } }
    nodes: number[]
    strings: string[]
  }
  const fields = snapshot.meta.node_fields
  const nameAt = fields.indexOf('name')
  return nodes.filter((value, at) => at % fields.length === nameAt && strings[value] === className).length
}
