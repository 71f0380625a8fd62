import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Captured } from '../../../dist/capture/capture'
import type { Sidecar } from '../../../dist/files/sidecar'
import { whyNoHelper } from '../fork/native/forking-server'
import { withProgram } from './program'

interface Report {
  readonly captured: Captured
  readonly dumped: Captured
  readonly said: readonly string[]
}

describe('dumps ordered from another thread', { concurrency: 1 }, () => {
  it('are made of a main thread that spins', () =>
    withProgram<Report>('from-a-thread.js', {}, ({ report, files }) => {
      assert.equal(hottest(report.captured.artefacts[0].file), 'spinInTheMainThread')
      assert.equal(report.dumped.way, whyNoHelper() === false ? 'fork' : 'v8')
      assert.ok(files.some((name) => name.endsWith('.heapsnapshot')))
    }))

  it('begin when a long native call returns; the event and the sidecar say how late', () =>
    withProgram<Report>('from-a-thread.js', { stuckMs: 2500 }, ({ report }) => {
      const { file } = report.captured.artefacts[0]
      assert.ok(report.said.includes('late: Profiler.start'), report.said.join())
      assert.ok(Number(report.captured.lateMs) > 500, String(report.captured.lateMs))
      const { how } = JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar
      assert.equal(how.notes?.['lateMs'], report.captured.lateMs)
      assert.match(readFileSync(file, 'utf8'), /"spinInTheMainThread"/)
    }))
})

function hottest(file: string): string | undefined {
  interface Node {
    readonly hitCount: number
    readonly callFrame: { readonly functionName: string }
  }
  const { nodes } = JSON.parse(readFileSync(file, 'utf8')) as { nodes: Node[] }
  return nodes.sort((one, other) => other.hitCount - one.hitCount)[0]?.callFrame.functionName
}
