import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Engines } from '../../../src/capture/engines'
import { missing, withProgram } from '../../e2e/engines/program'

interface Report {
  readonly engines?: Engines
  readonly refused?: string
  readonly load?: { output?: object; error?: string }
  readonly loadedAtCall: boolean
  readonly sigusr2: { before: boolean; after: boolean; bare?: boolean }
  readonly environmentKept: boolean
}

const WORKS = 'module.exports = {}'
const BROKEN = "throw new Error('was compiled against a different Node.js version')"
const PROGRAM = 'resolve-engines.js'

describe('engines', () => {
  it('auto uses what is installed, without loading it', () =>
    withProgram<Report>(
      PROGRAM,
      { engine: 'auto', kinds: ['cpu', 'memory'], packages: { 'v8-profiler-next': WORKS } },
      ({ report }) => {
        assert.equal(report.engines?.cpu.package?.name, 'v8-profiler-next')
        assert.equal(report.loadedAtCall, false)
        assert.equal(report.engines.memory.package, undefined)
        assert.deepEqual(report.engines.memory.passedOver, [{ way: 'heapdump', why: 'not installed' }])
      },
    ))

  it('a package that is handed over is used before one that is installed', () =>
    withProgram<Report>(
      PROGRAM,
      {
        kinds: ['leak'],
        packages: { 'memwatch-next': BROKEN, '@airbnb/node-memwatch': WORKS, heapdump: WORKS },
        handOver: ['@airbnb/node-memwatch', 'heapdump'],
        load: 'memory',
      },
      ({ report }) => {
        assert.equal(report.engines?.leak.package?.name, '@airbnb/node-memwatch')
        assert.match(report.engines.leak.package.file ?? '', /@airbnb\/node-memwatch\/main\.js$/)
        assert.deepEqual(report.load, { output: {} })
      },
    ))

  it('an object of packages insists on none', () =>
    withProgram<Report>(PROGRAM, { kinds: ['cpu', 'memory'], packages: {}, handOver: [] }, ({ report }) => {
      assert.equal(report.refused, undefined)
      assert.deepEqual(report.engines?.cpu.passedOver, [{ way: 'v8-profiler-next', why: 'not installed' }])
    }))

  it('builtin ignores what is installed, and says so', () =>
    withProgram<Report>(
      PROGRAM,
      { engine: 'builtin', kinds: ['cpu'], packages: { 'v8-profiler-next': WORKS } },
      ({ report }) => {
        assert.equal(report.engines?.cpu.package, undefined)
        assert.match(report.engines?.cpu.passedOver[0]?.why ?? '', /builtin/)
        assert.deepEqual(report.engines?.leak.passedOver, [])
      },
    ))

  it('a dump by hand takes what is installed, whatever is configured; nothing is insisted on', () =>
    withProgram<Report>(
      PROGRAM,
      { engine: 'packages', kinds: ['cpu'], packages: { 'v8-profiler-next': WORKS } },
      ({ report }) => {
        assert.deepEqual(report.engines?.memory.passedOver, [{ way: 'heapdump', why: 'not installed' }])
        assert.deepEqual(report.engines.leak.passedOver, [])
      },
    ))

  it('a dump by hand takes no package with builtin', () =>
    withProgram<Report>(
      PROGRAM,
      { engine: 'builtin', kinds: [], packages: { heapdump: WORKS } },
      ({ report }) => {
        assert.equal(report.engines?.memory.package, undefined)
        assert.match(report.engines?.memory.passedOver[0]?.why ?? '', /builtin/)
      },
    ))

  it('packages refuses at the call what is missing and what does not load, all by name', () =>
    withProgram<Report>(
      PROGRAM,
      { engine: 'packages', kinds: ['cpu', 'memory', 'leak'], packages: { heapdump: BROKEN } },
      ({ report }) => {
        assert.match(report.refused ?? '', /v8-profiler-next \(not installed\)/)
        assert.match(report.refused ?? '', /heapdump \(was compiled against a different/)
        assert.match(report.refused ?? '', /memwatch-next or @airbnb\/node-memwatch \(not installed\)/)
      },
    ))

  it('packages does not ask for what the configured keys do not need', () =>
    withProgram<Report>(
      PROGRAM,
      { engine: 'packages', kinds: ['cpu'], packages: { 'v8-profiler-next': WORKS } },
      ({ report }) => {
        assert.equal(report.refused, undefined)
        assert.equal(report.loadedAtCall, true)
      },
    ))

  it('finds memwatch under either of its names', () =>
    withProgram<Report>(
      PROGRAM,
      { engine: 'auto', kinds: ['leak'], packages: { '@airbnb/node-memwatch': WORKS } },
      ({ report }) => assert.equal(report.engines?.leak.package?.name, '@airbnb/node-memwatch'),
    ))

  it('tells why a package that is installed does not load', () =>
    withProgram<Report>(
      PROGRAM,
      { engine: 'auto', kinds: ['memory'], packages: { heapdump: BROKEN }, load: 'memory' },
      ({ report }) => {
        assert.match(report.load?.error ?? '', /different Node/)
        assert.equal(report.environmentKept, true)
      },
    ))

  it('loads heapdump without its SIGUSR2 handler', { skip: missing('heapdump') }, () =>
    withProgram<Report>(PROGRAM, { engine: 'auto', kinds: ['memory'], load: 'memory' }, ({ report }) => {
      assert.deepEqual(report.load, { output: {} })
      assert.deepEqual(report.sigusr2, { before: false, after: false })
      assert.equal(report.environmentKept, true)
    }),
  )

  it('would have that handler if heapdump were loaded bare', { skip: missing('heapdump') }, () =>
    withProgram<Report>(PROGRAM, { engine: 'builtin', kinds: [], loadBare: true }, ({ report }) => {
      assert.equal(report.sigusr2.bare, true)
    }),
  )
})
