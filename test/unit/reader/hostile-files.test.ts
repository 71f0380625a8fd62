import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, beforeEach, describe, it, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { readFolder } from '../../../src/reader/folder'
import { CLI, reader, scratch, startReader, withPreload } from '../../e2e/reader/command'
import { runToEnd } from '../../harness/program'
import { noNamespace, UNMAPPED, UNSHARE } from '../../harness/user-namespace'
import { parkedOrders, smallSnapshot } from './small-snapshot'

const { folder, remove } = scratch()
const at = (name: string): string => join(folder, name)
after(remove)

const MB = 1024 * 1024
const frame = (functionName: string, url = 'file:///app/a.js') => ({
  callFrame: { functionName, url, lineNumber: 6, columnNumber: 0 },
})
const PROFILE = {
  nodes: [
    { id: 1, ...frame('(root)', ''), children: [2] },
    { id: 2, ...frame('render'), hitCount: 9 },
  ],
  startTime: 0,
  endTime: 9000,
}

describe('the reader of files that others have written', { timeout: 180_000 }, () => {
  beforeEach(() => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
  })

  it('reads a profile whose nodes all name one caller as soon as one whose nodes are its children', async () => {
    const nodes = Array.from({ length: 200_000 }, (_, index) => ({
      ...{ id: index + 1, ...frame(`f${index}`), hitCount: 1 },
      ...(index > 0 && { parent: 1 }),
    }))
    writeFileSync(at('x.cpuprofile'), JSON.stringify({ ...PROFILE, nodes }))
    const { code, stdout } = await reader('report', at('x.cpuprofile'))
    assert.equal(code, 0)
    assert.match(stdout, /No single function stands out/)
  })

  it('names a thread of a kind that is a name of Object.prototype', async () => {
    writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
    const threads = ['constructor', '__proto__', 'toString'].map((kind) => ({ kind, cpuPercent: 5 }))
    writeFileSync(
      at('cpu-7-1000.cpuprofile.json'),
      JSON.stringify({ tool: 'cpu-memory-monitor', why: { kind: 'cpu' }, makeup: { threads } }),
    )
    const { code, stdout, stderr } = await reader('report', folder, '--out', at('page.html'))
    assert.equal(code, 0, stderr)
    assert.match(stdout, /CPU by thread, percent of a core: unknown 5\.0 %, unknown 5\.0 %, unknown 5\.0 %\n/)
    assert.match(readFileSync(at('page.html'), 'utf8'), /<td class="short">unknown<\/td>/)
  })

  it('reads no more of a gzip file for a list than of any other, whatever it states', async () => {
    const large = Buffer.concat([gzipSync(`{"x":"${'a'.repeat(40 * MB)}`), gzipSync('"}')])
    writeFileSync(at('large.cpuprofile.gz'), large)
    writeFileSync(at('small.cpuprofile.gz'), gzipSync(JSON.stringify(PROFILE)))
    const { stdout } = await reader('ls', folder)
    assert.match(stdout, /large\.cpuprofile\.gz is too large for a profile/)
    assert.match(stdout, /render \(\/app\/a\.js:7\) used 100\.0 %/)
  })

  it('refuses a profile that is nested without end, and reads one that is nested as deep as a stack', async () => {
    writeFileSync(at('nested.cpuprofile'), `{"nodes":${'['.repeat(30 * MB)}`)
    const refused = await reader('report', at('nested.cpuprofile'))
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /nested\.cpuprofile is damaged: it is nested more than 100000 levels deep/)
    const depth = 10_000
    const open = `{${JSON.stringify(frame('"}{[')).slice(1, -1)},"selfSize":1,"children":[`
    writeFileSync(at('deep.heapprofile'), `{"head":${open.repeat(depth)}${']}'.repeat(depth)}}`)
    const { code, stderr } = await reader('report', at('deep.heapprofile'))
    assert.equal(code, 0, stderr)
  })

  it('can be ended while a profile is parsed', async (t) => {
    writeFileSync(at('x.cpuprofile'), JSON.stringify(PROFILE))
    const parks = `const parse = JSON.parse
      JSON.parse = (text) => {
        if (!text.includes('callFrame')) return parse(text)
        require('fs').writeSync(1, 'parses')
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      }`
    const child = withPreload(at('parks.js'), parks, () => startReader('report', at('x.cpuprofile')))
    t.after(() => child.kill('SIGKILL'))
    await once(child.stdout ?? child, 'data')
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM'])
  })

  it('lists a directory in which files come and go', async (t) => {
    const program = `const fs = require('fs')
      for (let n = 0; ; n = (n + 1) % 50) {
        const file = ${JSON.stringify(folder)} + '/memory-7-' + (1000 + n) + '.heapprofile'
        fs.writeFileSync(file, '{')
        if (n === 0) fs.writeSync(1, '.')
        fs.unlinkSync(file)
      }`
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(async () => {
      child.kill('SIGKILL')
      await once(child, 'exit')
    })
    await once(child.stdout, 'data')
    for (let look = 0; look < 3000; look++) readFolder(folder)
  })

  it(
    'shows whose the dumps are where they belong to several users, and not where they belong to one',
    { skip: isNotRoot() && 'only root may give files away' },
    async () => {
      writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
      writeFileSync(at('cpu-8-2000.cpuprofile'), JSON.stringify(PROFILE))
      const both = async () => [await reader('ls', folder), await reader('report', folder)]
      for (const { stdout } of await both()) assert.doesNotMatch(stdout, /users?\b/)
      chownSync(at('cpu-8-2000.cpuprofile'), 65_534, 65_534)
      const [list, report] = await both()
      assert.match(
        list?.stdout ?? '',
        /cpu-8-.*\n +Files of user 65534: render .*\n.*cpu-7-.*\n +Files of user 0: render /,
      )
      assert.match(report?.stdout ?? '', /Note: The dumps here belong to several users, .* to user 65534\./)
    },
  )

  it(
    'tells own files from those of users that a user namespace hides, and reads no .json of these',
    { skip: noNamespace },
    async () => {
      const names = ['cpu-9-3000.cpuprofile', 'cpu-8-2000.cpuprofile', 'cpu-7-1000.cpuprofile'] as const
      for (const name of names) {
        writeFileSync(at(name), JSON.stringify(PROFILE), { mode: 0o644 })
        writeFileSync(at(`${name}.json`), '{"tool":"cpu-memory-monitor"}', { mode: 0o644 })
      }
      const [own, half, theirs] = names
      for (const name of [theirs, `${theirs}.json`, `${half}.json`]) chownSync(at(name), UNMAPPED, UNMAPPED)
      const within = (...args: string[]) => runToEnd([...UNSHARE, process.execPath, CLI, ...args])
      const { stdout } = await within('ls', folder, '--json')
      const { incidents } = JSON.parse(stdout) as {
        incidents: { files: string[]; verdict: string; notes?: string[] }[]
      }
      assert.deepEqual(
        incidents.map(({ files, verdict, notes }) => [files[0], verdict.split(':')[0], notes?.length ?? 0]),
        [
          [own, 'Files of user 65534', 0],
          [half, 'Files of user 65534', 1],
          [theirs, 'Files of an unknown user', 1],
        ],
      )
      const { code, stdout: report } = await within('report', at(theirs))
      assert.equal(code, 0)
      assert.match(
        report,
        /render .*\n[^]*The \.json of cpu-7-1000\.cpuprofile was not read: it belongs to another user/,
      )
      assert.match((await within('report', folder)).stdout, /render /)
    },
  )

  it(
    'takes the files of one user for one dump, and that of another user with its name for another dump',
    { skip: isNotRoot() && 'only root may give files away' },
    async () => {
      const own = ['cpu-7-1000.cpuprofile', 'cpu-7-1000-worker-1.cpuprofile']
      for (const name of own) writeFileSync(at(name), JSON.stringify(PROFILE))
      const incidents = () => readFolder(folder).incidents.map(({ owner, files }) => [owner, files.length])
      assert.deepEqual(incidents(), [[0, 2]])
      const forged = JSON.stringify(PROFILE).replace('render', 'forged')
      writeFileSync(at('cpu-7-1000.cpuprofile.gz'), gzipSync(forged))
      writeFileSync(at('cpu-7-1000-worker-2.cpuprofile'), forged)
      const others = ['cpu-7-1000.cpuprofile.gz', 'cpu-7-1000-worker-2.cpuprofile']
      assert.deepEqual(incidents(), [[0, 4]])
      for (const name of others) chownSync(at(name), 65_534, 65_534)
      assert.deepEqual(incidents().sort(), [
        [0, 2],
        [65_534, 2],
      ])
      const { stdout } = await reader('ls', folder)
      assert.match(stdout, /Files of user 0: render /)
      assert.match(stdout, /Files of user 65534: forged /)
      const report = await reader('report', folder)
      assert.ok(report.stdout.includes('render') !== report.stdout.includes('forged'), report.stdout)
    },
  )

  it('refuses a snapshot that goes on with the hole of a sparse file', async () => {
    const file = at('x.heapsnapshot')
    writeFileSync(file, smallSnapshot(parkedOrders(3)).replace(/"edges":[^]*/, '"edges":['))
    truncateSync(file, 2 ** 38)
    const { code, stderr } = await reader('redact', file)
    assert.equal(code, 1)
    assert.match(stderr, /is damaged: a list of numbers contains more than numbers/)
  })

  it('refuses a snapshot whose allocation trace goes on with the hole of a sparse file', async () => {
    const file = at('x.heapsnapshot')
    const snapshot = smallSnapshot(parkedOrders(3))
    writeFileSync(file, snapshot.replace('"trace_tree":[]', '"trace_tree":[1, 2,\t[\n]]'))
    assert.equal((await reader('redact', file)).code, 0)
    writeFileSync(file, snapshot.replace(/"trace_tree":[^]*/, '"trace_tree":[1, 2,'))
    truncateSync(file, 2 ** 38)
    const { code, stderr } = await reader('redact', file)
    assert.equal(code, 1)
    assert.match(stderr, /is damaged: its allocation trace holds a control character/)
  })

  const asItIs = (content: string): string => content
  for (const [command, packed, how, appended] of [
    ['redact', asItIs, 'blanks', ' '.repeat(MB)],
    ['redact', gzipSync, 'empty gzip files', gzipSync('')],
    // Blanks are refused there: the content is larger than the size that the memory was estimated by.
    ['report', gzipSync, 'empty gzip files', gzipSync('')],
  ] as const) {
    it(`ends to ${command} a snapshot to which another process appends ${how} all the time`, async (t) => {
      const file = at('x.heapsnapshot')
      writeFileSync(file, packed(smallSnapshot(parkedOrders(3))))
      // Each reading of the file finds it longer than it was.
      const grows = `const fs = require('fs')
        const { readSync, read } = fs
        const more = Buffer.from('${Buffer.from(appended).toString('base64')}', 'base64')
        const grow = (fd) => {
          if (fs.readlinkSync('/proc/self/fd/' + fd) === '${file}') fs.appendFileSync('${file}', more)
        }
        fs.readSync = (fd, ...rest) => (grow(fd), readSync(fd, ...rest))
        fs.read = (fd, ...rest) => (grow(fd), read(fd, ...rest))`
      const child = withPreload(at('grows.js'), grows, () => startReader(command, file))
      t.after(() => child.kill('SIGKILL'))
      child.stdout?.resume()
      const [code] = (await once(child, 'exit', { signal: AbortSignal.timeout(10_000) })) as [number]
      assert.equal(code, 0)
    })
  }

  it(
    'redacts no snapshot that holds more than the disk, and fills no disk with it',
    { skip: noMount() },
    async (t) => {
      const small = mountSmall(t)
      const snapshot = smallSnapshot(parkedOrders(3))
      const file = join(small, 'x.heapsnapshot.gz')
      writeFileSync(file, gzipSync(snapshot.replace('"edges":[', `"edges":[${' '.repeat(30 * MB)}`)))
      const { code, stderr } = await reader('redact', file)
      assert.equal(code, 1)
      assert.match(
        stderr,
        / cannot be written: it may need 62\.9 MB of disk space, but only 2\d\.\d MB are free/,
      )
      assert.deepEqual(readdirSync(small), ['x.heapsnapshot.gz'])
      writeFileSync(file, gzipSync(snapshot))
      assert.equal((await reader('redact', file)).code, 0)
    },
  )

  it('writes nothing that a terminal obeys where it fails itself, and keeps the lines of the stack', async () => {
    const fails = `process.stdout.write = () => { throw new Error('red \\u001b[31m') }`
    const { code, stderr } = await withPreload(at('fails.js'), fails, () => reader('--help'))
    assert.equal(code, 1)
    assert.match(stderr, /^Error: red \\u\{1b\}\[31m\n {4}at /)
  })

  for (const [how, exchange] of [
    ['gets the name of another', 'fs.renameSync(bomb, file)'],
    ['is overwritten', 'fs.writeFileSync(file, fs.readFileSync(bomb))'],
  ] as const) {
    it(`fills no disk with a snapshot that ${how} after it was checked`, { skip: noMount() }, async (t) => {
      const small = mountSmall(t)
      const file = join(small, 'x.heapsnapshot.gz')
      const snapshot = smallSnapshot(parkedOrders(3))
      writeFileSync(file, gzipSync(snapshot))
      writeFileSync(
        join(small, 'bomb'),
        gzipSync(snapshot.replace('"edges":[', `"edges":[${' '.repeat(90 * MB)}`)),
      )
      const exchanges = `const fs = require('fs')
        const { openSync } = fs
        fs.openSync = (path, ...rest) => {
          const [file, bomb] = ${JSON.stringify([file, join(small, 'bomb')])}
          if (String(path).endsWith('.scratch')) { ${exchange} }
          return openSync(path, ...rest)
        }`
      const { code, stderr } = await withPreload(at('exchanges.js'), exchanges, () => reader('redact', file))
      assert.doesNotMatch(stderr, /ENOSPC/)
      if (code === 0)
        assert.match(readFileSync(join(small, 'x.redacted.heapsnapshot'), 'utf8'), /"ParkedOrder"/)
      else assert.match(stderr, /cannot be written: (the snapshot grew|\S+ is damaged|unexpected end)/)
      assert.deepEqual(
        readdirSync(small).filter((name) => /partial|scratch/.test(name)),
        [],
      )
    })
  }

  for (const [name, packed] of [
    ['x.heapsnapshot', (content: string) => content],
    ['x.heapsnapshot.gz', gzipSync],
  ] as const) {
    it(
      `redacts ${name} into the directory that it began with, and not where a link leads that takes its place`,
      { skip: process.platform !== 'linux' && 'needs /proc' },
      async () => {
        const [shared, moved, own] = ['shared', 'moved', 'own'].map(at) as [string, string, string]
        for (const directory of [shared, own]) mkdirSync(directory)
        const file = join(shared, name)
        writeFileSync(file, packed(smallSnapshot(parkedOrders(3))))
        writeFileSync(join(own, 'x.redacted.heapsnapshot'), 'evidence')
        const exchanges = `const fs = require('fs')
          const { openSync } = fs
          fs.openSync = (path, ...rest) => {
            const fd = openSync(path, ...rest)
            if (path === '${file}') {
              fs.renameSync('${shared}', '${moved}')
              fs.symlinkSync('${own}', '${shared}')
            }
            return fd
          }`
        const { code, stderr } = await withPreload(at('link.js'), exchanges, () => reader('redact', file))
        assert.equal(code, 0, stderr)
        assert.deepEqual(readdirSync(own), ['x.redacted.heapsnapshot'])
        assert.equal(readFileSync(join(own, 'x.redacted.heapsnapshot'), 'utf8'), 'evidence')
        assert.deepEqual(readdirSync(moved).sort(), [name, 'x.redacted.heapsnapshot'].sort())
      },
    )
  }

  it(
    'redacts into the directory of a link of its own, and follows none of another user',
    { skip: (process.platform !== 'linux' || isNotRoot()) && 'only root may give links away' },
    async () => {
      mkdirSync(at('own'))
      symlinkSync(at('own'), at('link'))
      writeFileSync(at('x.heapsnapshot'), smallSnapshot(parkedOrders(3)))
      const out = join(at('link'), 'out.heapsnapshot')
      assert.equal((await reader('redact', at('x.heapsnapshot'), '--out', out)).code, 0)
      assert.deepEqual(readdirSync(at('own')), ['out.heapsnapshot'])
      rmSync(out)
      lchownSync(at('link'), 65_534, 65_534)
      const { code, stderr } = await reader('redact', at('x.heapsnapshot'), '--out', out)
      assert.equal(code, 1)
      assert.match(stderr, /out\.heapsnapshot cannot be written: \S+ is not followed, .* of another user/)
      assert.deepEqual(readdirSync(at('own')), [])
    },
  )

  it(
    'writes a page and a converted profile into the directory of a link of its own, and follows none of another user',
    { skip: (process.platform !== 'linux' || isNotRoot()) && 'only root may give links away' },
    async () => {
      mkdirSync(at('own'))
      symlinkSync(at('own'), at('link'))
      const file = at('cpu-7-1000.cpuprofile')
      writeFileSync(file, JSON.stringify(PROFILE))
      const options = [
        ['--out', join(at('link'), 'page.html')],
        ['--speedscope', join(at('link'), 'x.speedscope.json')],
        ['--pprof', join(at('link'), 'x.pb.gz')],
      ]
      for (const option of options) assert.equal((await reader('report', file, ...option)).code, 0)
      assert.deepEqual(readdirSync(at('own')).sort(), ['page.html', 'x.pb.gz', 'x.speedscope.json'])
      for (const name of readdirSync(at('own'))) rmSync(join(at('own'), name))
      lchownSync(at('link'), 65_534, 65_534)
      for (const option of options) {
        const { code, stderr } = await reader('report', file, ...option)
        assert.equal(code, 1)
        assert.match(stderr, /cannot be written: \S+ is not followed, .* of another user/)
      }
      assert.deepEqual(readdirSync(at('own')), [])
    },
  )

  it('says that a snapshot is missing, and not its directory, and names a directory of --out that is', async () => {
    const missing = await reader('redact', join(at('nowhere'), 'x.heapsnapshot'))
    assert.match(missing.stderr, /nowhere\/x\.heapsnapshot (?!cannot be written).*no such file/)
    writeFileSync(at('x.heapsnapshot'), smallSnapshot(parkedOrders(3)))
    const out = join(at('nowhere'), 'out.heapsnapshot')
    const { stderr } = await reader('redact', at('x.heapsnapshot'), '--out', out)
    assert.match(stderr, /out\.heapsnapshot cannot be written: ENOENT: .*nowhere'/)
    mkdirSync(at('taken'))
    const taken = await reader('redact', at('x.heapsnapshot'), '--out', at('taken'))
    assert.match(taken.stderr, /taken cannot be written: EISDIR: [^]*\/taken'/)
    assert.doesNotMatch(taken.stderr, /\/proc\//)
    assert.deepEqual(readdirSync(folder).sort(), ['taken', 'x.heapsnapshot'])
  })

  it(
    'fills no disk with a snapshot of short strings, which become longer ones',
    { skip: noMount() },
    async (t) => {
      const small = mountSmall(t)
      const file = join(small, 'x.heapsnapshot')
      const short = Array.from({ length: 1_000_000 }, (_, index) => `"${index.toString(36)}"`)
      writeFileSync(file, smallSnapshot(parkedOrders(3)).replace('"strings":[', `$&"a",${short.join(',')},`))
      const { code, stderr } = await reader('redact', file)
      assert.equal(code, 1)
      assert.match(
        stderr,
        /cannot be written: the redacted snapshot is larger than \d+\.\d MB, the most disk space/,
      )
      assert.deepEqual(readdirSync(small), ['x.heapsnapshot'])
    },
  )
})

/** A disk of 20 MiB. */
function mountSmall(t: TestContext): string {
  const small = at('small')
  mkdirSync(small)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'cmm-test', small])
  t.after(() => execFileSync('umount', [small]))
  return small
}

function noMount(): string | false {
  return (process.platform !== 'linux' || isNotRoot()) && 'only root may mount a small disk'
}

function isNotRoot(): boolean {
  return process.getuid?.() !== 0
}
