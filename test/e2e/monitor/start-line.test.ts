import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { whyNoHelper } from '../fork/native/forking-server'
import { places, scratch, startApp } from './app'
import { limitedTo } from './memory-cgroup'

const heapWay = whyNoHelper() === false ? 'fork' : 'v8'

describe('at the start', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    const thread = watchdog ? 'on a thread of its own' : 'on the main thread'

    test(`one info line tells what is watched, the limits, the directories, the ways and the thread, ${place}`, async (t) => {
      const [cpuDir, memoryDir] = [join(scratch(t), 'new', 'cpu'), join(scratch(t), 'memory')]
      const app = startApp(t, 'by-hand.js', {
        cpu: { threshold: 150, counter: 3, limiter: [5, 'hour'], profileDir: cpuDir },
        memory: { threshold: '512mb', profileDir: memoryDir },
        engine: 'builtin',
        watchdog,
      })
      await app.order('dumpCpu', 1)
      const [line, ...more] = app.said('line').filter(({ level }) => level === 'info')
      assert.deepEqual(more, [])
      const { text } = line ?? { text: '' }
      assert.match(
        text,
        /^watching cpu above 150% of a core in 3 readings in a row \(at most 5 cpu dumps per 3600 s to /,
      )
      assert.match(text, /; memory above 512MB in 1 reading \(at most 3 memory dumps per 3600 s to /)
      assert.ok(
        text.includes(`to ${cpuDir} by inspector);`) && text.includes(`to ${memoryDir} by ${heapWay}`),
      )
      assert.ok(text.includes(`; SIGUSR2 (a heap snapshot to ${memoryDir}); ${thread}`))
      // What is created is for its owner only.
      assert.deepEqual(
        [cpuDir, memoryDir].map((path) => statSync(path).mode & 0o777),
        [0o700, 0o700],
      )
      assert.deepEqual(
        app.said('line').filter(({ text }) => text.includes('cannot be written')),
        [],
      )
    })

    for (const [threshold, warns] of [
      ['400mb', true],
      [`${300 * 1024 * 1024 - 1}`, false],
    ] as const) {
      test(`a memory threshold ${warns ? 'above' : 'below'} the cgroup's limit is ${warns ? '' : 'not '}warned of, ${place}`, async (t) => {
        const group = limitedTo(t, 300 * 1024 * 1024)
        if ('reason' in group) return t.skip(group.reason)
        const app = startApp(
          t,
          'in-a-cgroup.js',
          { memory: { threshold }, watchdog },
          { args: [group.procs] },
        )
        await app.until('line', ({ text }) => text.startsWith('watching'))
        await app.order('dumpCpu', 1)
        const warnings = app.said('line').filter(({ text }) => text.includes('can never be exceeded'))
        assert.deepEqual(
          warnings.map(({ level, text }) => [level, text]),
          warns
            ? [
                [
                  'warn',
                  "the memory threshold of 400MB can never be exceeded: the cgroup's limit is 300MB, where the kernel ends the process; " +
                    "set a smaller one, or a share such as '85%' of that memory",
                ],
              ]
            : [],
        )
      })
    }
  }
})
