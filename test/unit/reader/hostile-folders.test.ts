import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { unfinishedHints } from '../../../src/reader/folder'
import { type Listed, listIncidents, writeList } from '../../../src/reader/list'
import { createReport } from '../../../src/reader/report'
import { reader, scratch, withHeap, withPreload } from '../../e2e/reader/command'

const { folder, remove } = scratch()
const at = (name: string): string => join(folder, name)
after(remove)

const MB = 1024 * 1024
const PROFILE = {
  nodes: [
    { id: 1, callFrame: { functionName: '(root)', url: '' }, children: [2] },
    { id: 2, callFrame: { functionName: 'render', url: 'file:///app/a.js', lineNumber: 6 }, hitCount: 9 },
  ],
  startTime: 0,
  endTime: 9000,
}

const REQUEST = {
  paths: [folder],
  onProgress: () => undefined,
  runAnalysis: () => Promise.reject(new Error('there is no snapshot')),
}

describe('a directory in which others have left files', { timeout: 180_000 }, () => {
  beforeEach(() => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
  })

  it('writes a list of 150,000 files', () => {
    const one = {
      at: new Date(0).toISOString(),
      kind: 'cpu' as const,
      files: ['a'],
      sizeBytes: 0,
      verdict: '',
    }
    assert.equal(
      [...writeList({ incidents: new Array<Listed>(150_000).fill(one), notes: [] })].join('').match(/\n/g)
        ?.length,
      300_000,
    )
    for (let index = 0; index < 300; index++) writeFileSync(at(`cpu-${index}-1000.cpuprofile.partial`), '')
    assert.deepEqual([unfinishedHints(folder).length, unfinishedHints(folder).at(-1)], [101, 'and 200 more'])
  })

  it('lists and reports a dump among files that look newer and are empty', async () => {
    writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
    for (let index = 0; index < 1500; index++) writeFileSync(at(`${index}.cpuprofile`), '')
    const list = await reader('ls', folder)
    assert.equal(list.code, 0, list.stderr)
    assert.match(list.stdout, /cpu-7-1000\.cpuprofile\n {4}render \(/)
    assert.equal(list.stdout.match(/Unreadable: \d+\.cpuprofile is empty\n/g)?.length, 1500)
    const report = await reader('report', folder)
    assert.equal(report.code, 0, report.stderr)
    assert.match(report.stdout, /^render \(\/app\/a\.js:7\)/)
    assert.match(report.stdout, /\n {2}and 500 more: the command ls of this tool lists them\n/)
    assert.match(report.stdout, /Note: A newer dump cannot be read: \S+\/\d+\.cpuprofile is empty\.\n/)
    assert.match(report.stdout, /Note: More newer dumps cannot be read\.\n/)
  })

  it('reports the newest dump, and nothing older, where it can be read; and why not, where none can', async () => {
    writeFileSync(at('cpu-7-1000.cpuprofile'), '')
    const none = await reader('report', folder)
    assert.equal(none.code, 1)
    assert.match(none.stderr, /cpu-7-1000\.cpuprofile is empty\n$/)
    writeFileSync(at('cpu-7-2000.cpuprofile'), JSON.stringify(PROFILE))
    assert.doesNotMatch((await reader('report', folder)).stdout, /cannot be read|is empty/)
  })

  it('reports an older dump where the newest is a small file of more calls than a report adds up', async () => {
    const calls = `${'{"callFrame":{}},'.repeat(1_500_000)}{"callFrame":{}}`
    const heap = gzipSync(`{"head":{"callFrame":{},"children":[${calls}]}}`)
    assert.ok(heap.length < MB)
    writeFileSync(at('memory-7-2000.heapprofile.gz'), heap)
    writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
    const { verdict, notes } = await createReport(REQUEST)
    assert.match(verdict.sentence, /^render /)
    assert.match(
      notes.join('\n'),
      /A newer dump cannot be read: \S+ is too large: it has more than 1,500,000 calls\./,
    )
  })

  it('looks for a dump that can be read for a bounded time', async () => {
    for (let index = 1; index <= 3; index++) writeFileSync(at(`cpu-${index}-1000.cpuprofile`), '')
    await assert.rejects(
      createReport({ ...REQUEST, readMs: 0 }),
      /none of the newest 1 dump could be read in time \(the newest: .*with ls/,
    )
    await assert.rejects(createReport(REQUEST), /^UnreadableError: \S+\.cpuprofile is empty$/)
    writeFileSync(at('cpu-9-2000.cpuprofile'), JSON.stringify(PROFILE))
    assert.match((await createReport({ ...REQUEST, readMs: 0 })).verdict.sentence, /^render /)
  })

  it(
    'never takes the dump of one user for that of another, while its name goes to and fro between them',
    { skip: process.getuid?.() !== 0 && 'only root may give files away' },
    async () => {
      const forged = JSON.stringify(PROFILE).replace('render', 'forged')
      writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
      writeFileSync(at('own'), JSON.stringify(PROFILE))
      writeFileSync(at('his'), forged)
      chownSync(at('his'), 12345, 12345)
      const swapping = `const fs = require('node:fs'); const [, name, ...files] = process.argv
        for (;;) for (const file of files) { fs.linkSync(file, name + '.next'); fs.renameSync(name + '.next', name) }`
      const files = ['cpu-8-2000.cpuprofile', 'own', 'his'].map(at)
      const swapper = spawn(process.execPath, ['-e', swapping, ...files], { stdio: 'ignore' })
      try {
        const seen = { render: 0, forged: 0 }
        for (const endMs = performance.now() + 10_000; performance.now() < endMs && seen.forged < 50;) {
          const { verdict, notes } = await createReport(REQUEST)
          const isForged = /^forged /.test(verdict.sentence)
          seen[isForged ? 'forged' : 'render']++
          if (isForged) assert.match(notes.join(), /files of this incident belong to user 12345/)
        }
        assert.ok(seen.render > 0 && seen.forged > 0, JSON.stringify(seen))
      } finally {
        const ended = once(swapper, 'exit')
        swapper.kill('SIGKILL')
        // Until then it makes files, in which the next test would not find its directory empty.
        await ended
      }
    },
  )

  it(
    'reads a .json of the user of its dump, and no other',
    { skip: process.getuid?.() !== 0 && 'only root may give files away' },
    async () => {
      const file = at('cpu-7-1000.cpuprofile.gz')
      writeFileSync(file, gzipSync(JSON.stringify(PROFILE)))
      const put = (name: string, host: string): void => {
        const sidecar = { tool: 'cpu-memory-monitor', why: { kind: 'cpu' }, where: { host, pid: 7 } }
        writeFileSync(name, JSON.stringify(sidecar))
      }
      const [own, foreign] = [at('cpu-7-1000.cpuprofile.json'), `${file}.json`]
      put(own, 'own-host')
      put(foreign, 'forged-host')
      const report = async () => (await createReport(REQUEST)).circumstances?.host
      const notes = async () => (await createReport(REQUEST)).notes.join()
      assert.deepEqual([await report(), await notes()], ['own-host', ''])
      rmSync(own)
      assert.deepEqual([await report(), await notes()], ['forged-host', ''])
      chownSync(foreign, 65_534, 65_534)
      assert.equal(await report(), undefined)
      assert.match(
        await notes(),
        /The \.json of cpu-7-1000\.cpuprofile\.gz was not read: it belongs to another user/,
      )
      put(at('elsewhere'), 'linked-host')
      symlinkSync(at('elsewhere'), own)
      assert.equal(await report(), undefined)
    },
  )

  it(
    'notes no description of the user of its dump, whoever that is and however many files the dump has',
    { skip: process.getuid?.() !== 0 && 'only root may give files away' },
    () => {
      const files = ['cpu-7-1000.cpuprofile', 'cpu-7-1000-worker-3.cpuprofile'].map(at)
      for (const file of files) {
        writeFileSync(file, JSON.stringify(PROFILE))
        writeFileSync(`${file}.json`, '{}')
      }
      const options = { command: 'ls', directory: folder, sinceMs: 0, sort: 'time', isJson: false } as const
      const notes = () => listIncidents(options).incidents.map((incident) => incident.notes)
      assert.deepEqual(notes(), [undefined])
      for (const file of files) for (const path of [file, `${file}.json`]) chownSync(path, 12345, 12345)
      assert.deepEqual(notes(), [undefined])
      chownSync(`${files[0]}.json`, 0, 0)
      assert.equal(notes()[0]?.length, 1)
    },
  )

  // Whoever may write to a file of another user, such as a log of mode 0666, may make a hard link to it and write its content.
  for (const [mode, isForeign] of [
    [0o666, true],
    [0o620, true],
    [0o600, false],
  ] as const) {
    const octal = mode.toString(8)
    it(`${isForeign ? 'names' : 'takes as it is'} a file of mode ${octal} that has another name as well`, async () => {
      writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE), { mode: 0o600 })
      writeFileSync(at('shared.log'), JSON.stringify(PROFILE).replace('render', 'forged'))
      chmodSync(at('shared.log'), mode)
      linkSync(at('shared.log'), at('cpu-7-1000-worker-3.cpuprofile'))
      const options = { command: 'ls', directory: folder, sinceMs: 0, sort: 'time', isJson: false } as const
      const note =
        'cpu-7-1000-worker-3.cpuprofile may be of another user: others may write to it, and it has several names.'
      const { incidents } = listIncidents(options)
      assert.deepEqual(incidents.map(({ notes }) => notes).filter(Boolean), isForeign ? [[note]] : [])
      assert.equal(incidents.length, isForeign ? 2 : 1, 'it is no part of the dump')
      rmSync(at('cpu-7-1000.cpuprofile'))
      const { verdict, notes } = await createReport(REQUEST)
      assert.match(verdict.sentence, /^forged /)
      assert.deepEqual(notes, isForeign ? [note] : [])
    })

    it(`${isForeign ? 'does not read' : 'reads'} a .json of mode ${octal} that has another name as well`, async () => {
      writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE), { mode: 0o600 })
      const sidecar = { tool: 'cpu-memory-monitor', why: { kind: 'cpu' }, where: { host: 'a-host', pid: 7 } }
      writeFileSync(at('shared.log'), JSON.stringify(sidecar))
      chmodSync(at('shared.log'), mode)
      linkSync(at('shared.log'), at('cpu-7-1000.cpuprofile.json'))
      const { circumstances, notes } = await createReport(REQUEST)
      assert.equal(circumstances?.host, isForeign ? undefined : 'a-host')
      const note =
        /^The \.json of cpu-7-1000\.cpuprofile was not read: .* may have been written by another user\.$/
      assert.deepEqual(
        notes.map((one) => note.test(one)),
        isForeign ? [true] : [],
      )
      // With one name it counts, for on some file systems all may write to every file.
      rmSync(at('shared.log'))
      assert.equal((await createReport(REQUEST)).circumstances?.host, 'a-host')
    })
  }

  it('lists and reports a file whose name is too long for a .json beside it', async () => {
    const name = `${'n'.repeat(240)}.cpuprofile`
    writeFileSync(at(name), JSON.stringify(PROFILE))
    writeFileSync(at('short.cpuprofile'), JSON.stringify(PROFILE))
    const { incidents: listed } = listIncidents({
      command: 'ls',
      directory: folder,
      sinceMs: 0,
      sort: 'time',
      isJson: false,
    })
    assert.deepEqual(
      listed.map(({ files, notes }) => [...files, notes]).sort(),
      [
        [name, undefined],
        ['short.cpuprofile', undefined],
      ].sort(),
    )
    const { code, stdout, stderr } = await reader('report', at(name))
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^render /)
    symlinkSync('/nowhere', at('short.cpuprofile.json'))
    assert.match(
      (await reader('report', at('short.cpuprofile'))).stdout,
      /\.json of short\.cpuprofile .* a link/,
    )
  })

  it('lists 15,000 names of a profile whose names are long in the list, by name where the answers are too long', async () => {
    const control = '\u202e'
    const callFrame = { functionName: control.repeat(500), url: `/${control.repeat(1990)}`, lineNumber: 6 }
    const [root, render] = PROFILE.nodes
    const long = { ...PROFILE, nodes: [root, { ...render, callFrame }] }
    writeFileSync(at('a.cpuprofile'), JSON.stringify(long))
    for (let index = 1; index < 15_000; index++) linkSync(at('a.cpuprofile'), at(`a${index}.cpuprofile`))
    const list = await reader('ls', folder)
    assert.equal(list.code, 0, list.stderr)
    assert.equal(list.stdout.match(/^\d{4}-\d\d-\d\d .* a\d*\.cpuprofile$/gm)?.length, 15_000)
    assert.match(list.stdout, /Not read, because the verdicts on the other dumps are too long/)
    const json = await reader('ls', folder, '--json')
    assert.equal(json.code, 0, json.stderr)
    const { incidents, notes } = JSON.parse(json.stdout) as { incidents: unknown[]; notes: string[] }
    assert.equal(incidents.length, 15_000)
    assert.match(notes.join(), /^The list is long: [\d,]+ verdicts left out\.$/)
  })

  it('gives the answers of a list that is not too long, and names of the files of one dump at most 1000', () => {
    const options = { command: 'ls', directory: folder, isJson: false, sinceMs: 0, sort: 'time' } as const
    writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
    const [one] = listIncidents(options, undefined, 1).incidents
    assert.deepEqual([one?.verdict.slice(0, 7), one?.files.length, one?.notes], ['render ', 1, undefined])
    assert.deepEqual(listIncidents(options).notes, [])
    assert.match(listIncidents(options, undefined, 0).incidents[0]?.verdict ?? '', /^Not read, .* too long/)
    for (let worker = 1; worker <= 1100; worker++)
      linkSync(at('cpu-7-1000.cpuprofile'), at(`cpu-7-1000-worker-${worker}.cpuprofile`))
    const [crowd] = listIncidents(options).incidents
    assert.deepEqual([crowd?.files.length, crowd?.notes], [1000, ['101 more files of this dump.']])
  })

  it('reads the files of one dump for a bounded time, and at most 100, and says what it left out', async () => {
    const worker = (id: number): string => at(`cpu-7-2000-worker-${id}.cpuprofile`)
    for (const id of [1, 2]) writeFileSync(worker(id), '')
    writeFileSync(worker(3), JSON.stringify(PROFILE))
    await assert.rejects(
      createReport({ ...REQUEST, readMs: 0 }),
      /worker-1\.cpuprofile is empty; 2 more files of this dump not read, from \S+-worker-2\.cpuprofile on, because the others took too long$/,
    )
    const found = await createReport(REQUEST)
    assert.match(found.verdict.sentence, /^render /)
    assert.doesNotMatch(found.notes.join(), /not read/)
    for (let id = 1; id <= 105; id++) writeFileSync(worker(id), JSON.stringify(PROFILE))
    const crowd = await createReport(REQUEST)
    assert.equal(crowd.parts.length, 100)
    assert.match(
      crowd.notes.join(),
      /^5 more files of this dump not read, from \S+ on, because there are too many: report/,
    )
    const cut = await createReport({ ...REQUEST, dumpReadMs: 0 })
    assert.equal(cut.parts.length, 1)
    assert.match(
      cut.notes.join(),
      /^104 more files of this dump not read, .* took too long: report them one by one\.$/,
    )
  })

  it('notes what cannot be looked at, and lists and reports the others', async () => {
    for (const name of ['closed', 'cpu-7-1000'])
      writeFileSync(at(`${name}.cpuprofile`), JSON.stringify(PROFILE))
    // What lstat says of a mount of FUSE by another user, to root too.
    const refuses = `const fs = require('fs')
      const { lstatSync } = fs
      fs.lstatSync = (path, ...rest) => {
        if (path === ${JSON.stringify(at('closed.cpuprofile'))})
          throw Object.assign(new Error('EACCES: permission denied, lstat'), { code: 'EACCES' })
        return lstatSync(path, ...rest)
      }`
    const note = 'closed.cpuprofile cannot be looked at: EACCES: permission denied, lstat'
    const asRoot = async (...args: string[]): Promise<string> => {
      const program = () => reader(...args)
      const { code, stdout, stderr } = await withPreload(at('refuses.js'), refuses, program)
      assert.equal(code, 0, stderr)
      return stdout
    }
    const list = await asRoot('ls', folder)
    assert.match(list, /^.*cpu-7-1000\.cpuprofile\n {4}render \(/)
    assert.ok(list.endsWith(`\n${note}\n`), list)
    const json = JSON.parse(await asRoot('ls', folder, '--json')) as { incidents: unknown[]; notes: unknown }
    assert.deepEqual([json.incidents.length, json.notes], [1, [note]])
    assert.ok((await asRoot('report', folder)).includes(`Note: ${note}\n`))
    assert.doesNotMatch(
      (await reader('ls', folder)).stdout + (await reader('report', folder)).stdout,
      /looked at/,
    )
  })

  it('lists the others where a file goes between two looks at it', async () => {
    writeFileSync(at('going.cpuprofile'), JSON.stringify(PROFILE))
    writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
    const removes = `const fs = require('fs')
      const { closeSync } = fs
      fs.closeSync = (fd) => {
        const isGoing = fs.readlinkSync('/proc/self/fd/' + fd) === ${JSON.stringify(at('going.cpuprofile'))}
        closeSync(fd)
        if (isGoing) fs.rmSync(${JSON.stringify(at('going.cpuprofile'))}, { force: true })
      }`
    const { code, stdout, stderr } = await withPreload(at('removes.js'), removes, () => reader('ls', folder))
    assert.equal(code, 0, stderr)
    assert.match(stdout, /Unreadable: going\.cpuprofile cannot be read: there is no such file or directory\n/)
    assert.match(stdout, /cpu-7-1000\.cpuprofile\n {4}render \(/)
  })

  it('lists the others where a small gzip file unpacks to millions of lists, in a heap of 280 MB', async () => {
    writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
    for (const [name, megabytes] of Object.entries({ large: 31, small: 7 })) {
      const lists = `${JSON.stringify(PROFILE).slice(0, -1)},"x":[${'[],'.repeat((megabytes * MB) / 3)}0]}`
      writeFileSync(at(`${name}.cpuprofile.gz`), gzipSync(lists))
    }
    const { code, stdout, stderr } = await withHeap(280, () => reader('ls', folder))
    assert.equal(code, 0, stderr)
    assert.match(stdout, /The profile is too large for this list; read it with: report/)
    assert.match(
      stdout,
      /Unreadable: small\.cpuprofile\.gz is too large: it has more than \d+ objects and lists\n/,
    )
    assert.match(stdout, /cpu-7-1000\.cpuprofile\n {4}render \(/)
  })

  it('lists 600 dumps that share a .json of 250 kB, in a heap of 60 MB', async () => {
    const long = 'a'.repeat(100_000)
    const why = { kind: 'cpu', details: { [long.slice(0, 1000)]: long } }
    const sidecar = { tool: 'cpu-memory-monitor', why, thread: { kind: 'worker', id: 3, name: long } }
    writeFileSync(at('json'), JSON.stringify({ ...sidecar, where: { host: long.slice(0, 50_000) } }))
    for (let index = 0; index < 600; index++) {
      for (const worker of ['', '-worker-3']) {
        const name = at(`cpu-7-${1000 + index}${worker}.cpuprofile`)
        writeFileSync(name, JSON.stringify(PROFILE))
        linkSync(at('json'), `${name}.json`)
      }
    }
    const { code, stdout, stderr } = await withHeap(60, () => reader('ls', folder))
    assert.equal(code, 0, stderr)
    assert.equal(stdout.match(/^ {4}worker 3 'a{200}…': render /gm)?.length, 600)
  })

  it('reads profiles for a list as long as there is time, and names the others', () => {
    writeFileSync(at('cpu-7-1000.cpuprofile'), JSON.stringify(PROFILE))
    const options = { command: 'ls', directory: folder, isJson: false, sinceMs: 0, sort: 'time' } as const
    assert.match(listIncidents(options).incidents[0]?.verdict ?? '', /^render /)
    assert.match(
      listIncidents(options, 0).incidents[0]?.verdict ?? '',
      /^Not read, .* report cpu-7-1000\.cpuprofile$/,
    )
  })

  it('keeps a .partial that was there before a page was to be written under its name', async () => {
    const [file, out] = [at('cpu-7-1000.cpuprofile'), at('page.html')]
    writeFileSync(file, JSON.stringify(PROFILE))
    const takes = `require('fs').writeFileSync(${JSON.stringify(out)} + '.' + process.pid + '.partial', 'of another')`
    const report = await withPreload(at('takes.js'), takes, () => reader('report', file, '--out', out))
    assert.match(report.stderr, /page\.html cannot be written: EEXIST/)
    const partials = (): string[] => readdirSync(folder).filter((name) => name.endsWith('.partial'))
    assert.deepEqual(
      partials().map((name) => readFileSync(at(name), 'utf8')),
      ['of another'],
    )
  })

  it('leaves no .partial of a page that cannot be renamed, or that is written', async () => {
    const [file, out] = [at('cpu-7-1000.cpuprofile'), at('page.html')]
    writeFileSync(file, JSON.stringify(PROFILE))
    mkdirSync(out)
    assert.match((await reader('report', file, '--out', out)).stderr, /page\.html cannot be written/)
    assert.deepEqual(readdirSync(folder).sort(), ['cpu-7-1000.cpuprofile', 'page.html'])
    rmSync(out, { recursive: true })
    assert.equal((await reader('report', file, '--out', out)).code, 0)
    assert.deepEqual(readdirSync(folder).sort(), ['cpu-7-1000.cpuprofile', 'page.html'])
  })
})
