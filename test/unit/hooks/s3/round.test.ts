import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs, { chownSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
// Built: only from there is the helper found, by which neighbours take turns.
import { runRound } from '../../../../dist/hooks/s3/round.js'
import { takeTurn } from '../../../../dist/system/turn.js'
import { MAX_FOREIGN_NAMES } from '../../../../src/files/retention'
import { readSent, SENT_FILE } from '../../../../src/files/sent-list'
import { resolveUploadOptions } from '../../../../src/hooks/s3/options'
import type { RoundEnd, RoundNews, RoundOrder } from '../../../../src/hooks/s3/round'
import { findPeers } from '../../../../src/hooks/s3/store'
import { leave } from '../../../e2e/hooks/bucket'
import { scratch } from '../../files/scratch'

const noTurns = process.platform !== 'linux' && 'turns are of Linux'

describe('a round', () => {
  it('goes on after an artefact that a proxy does not take, and reports that one once', async (t) => {
    const [large, other] = [scratch(t), scratch(t)]
    const names = [1000, 2000].map((ms) => leave(large, { ms, bytes: 1000 }))
    const elsewhere = leave(other, { ms: 3000, bytes: 1000 })
    const s3 = await bucketOf(t)
    s3.refuse = (key) => (key.includes('-1000.') ? tooLarge : undefined)
    const { end, news } = await s3.round([large, other])
    assert.deepEqual(end, { type: 'done', hasAnswered: true })
    assert.deepEqual(
      news.map(({ type }) => type),
      ['unsendable', 'sent', 'sent'],
    )
    assert.match(
      textOf(news[0]),
      /memory-7-1000\.heapsnapshot is not sent: S3 rejects the upload \(413 \w+\): ./,
    )
    assert.doesNotMatch(textOf(news[0]), /\n/)
    assert.equal(s3.keys().length, 4)
    for (const name of [names[1] ?? '', elsewhere]) assert.ok(s3.keys().some((key) => key.includes(name)))
    s3.requests.length = 0
    assert.deepEqual(await s3.round([large, other]), { end: { type: 'done', hasAnswered: false }, news: [] })
    assert.deepEqual(s3.requests, [])
  })

  it('ends where S3 takes nothing: what waits behind it is not tried', async (t) => {
    const directory = scratch(t)
    for (const ms of [1000, 2000]) leave(directory, { ms, bytes: 1000 })
    const refusals: Record<string, [number, string]> = {
      'a bucket that is not there': [404, '<Error><Code>NoSuchBucket</Code></Error>'],
      'a login': [403, '<Error><Code>AccessDenied</Code></Error>'],
      'a token of yesterday': [400, '<Error><Code>ExpiredToken</Code></Error>'],
      'a key of KMS': [400, '<Error><Code>KMS.DisabledException</Code></Error>'],
    }
    for (const [what, answer] of Object.entries(refusals)) {
      const s3 = await bucketOf(t)
      s3.refuse = () => answer
      const { end, news } = await s3.round([directory])
      assert.deepEqual([end.type, news], ['failed', []], what)
      assert.deepEqual(new Set(s3.requests.map(keyOf)).size, 1, what)
    }
  })

  it('an answer without a reason to a HEAD is that of S3 as a whole', async (t) => {
    const directory = scratch(t)
    leave(directory, { bytes: 1000 })
    const s3 = await bucketOf(t)
    s3.refuseHead = 400
    const { end, news } = await s3.round([directory])
    assert.deepEqual([end.type, news], ['failed', []])
  })

  it('what failed before is sent last, and so is what lies beside it', async (t) => {
    const [first, second] = [scratch(t), scratch(t)]
    for (const ms of [1000, 2000]) leave(first, { ms, bytes: 1000 })
    leave(second, { ms: 3000, bytes: 1000 })
    const s3 = await bucketOf(t)
    s3.last.add(join(first, 'memory-7-1000.heapsnapshot'))
    s3.refuse = (key) => (key.includes('-1000.') ? [504, ''] : undefined)
    const { end, news } = await s3.round([first, second])
    assert.deepEqual(
      news.map((one) => /memory-7-\d+/.exec(textOf(one))?.[0]),
      ['memory-7-3000', 'memory-7-2000'],
    )
    assert.equal(end.type === 'failed' && end.file, join(first, 'memory-7-1000.heapsnapshot'))
  })

  it('what cannot be redacted is reported and asked for once, and the others are sent', async (t) => {
    const directory = scratch(t)
    leave(directory, { ms: 1000, content: 'no snapshot' })
    leave(directory, { ms: 2000, name: 'memory-7-2000.heapprofile', content: '{}' })
    const s3 = await bucketOf(t, { redact: true })
    const { news } = await s3.round([directory])
    assert.deepEqual(
      news.map(({ type }) => type),
      ['unsendable', 'sent'],
    )
    s3.requests.length = 0
    assert.deepEqual((await s3.round([directory])).news, [])
    assert.deepEqual(s3.requests, [])
  })

  for (const deleteAfterUpload of [true, false])
    it(`a dump at the heap limit ${deleteAfterUpload ? 'goes' : 'stays'} once it is sent and reported`, async (t) => {
      const directory = scratch(t)
      const name = leave(directory, { name: 'heap-limit-memory-7-1000.heapsnapshot', bytes: 1000 })
      const [file, description] = [join(directory, name), join(directory, `${name}.json`)]
      const s3 = await bucketOf(t, { deleteAfterUpload })
      const { news } = await s3.round([directory])
      assert.deepEqual(
        news.map(({ type }) => type),
        ['sent'],
      )
      await s3.round([directory])
      assert.ok(existsSync(file), 'it is not reported yet')
      const sidecar = JSON.parse(readFileSync(description, 'utf8')) as object
      writeFileSync(description, JSON.stringify({ ...sidecar, reported: { pid: 8 } }))
      assert.deepEqual((await s3.round([directory])).news, [])
      assert.equal(existsSync(file), !deleteAfterUpload)
      // By it the budget of such dumps is counted.
      assert.ok(existsSync(description))
    })

  it('the list of what was sent forgets what is gone, and asks for nothing again', async (t) => {
    const directory = scratch(t)
    const [first, second] = [1000, 2000].map((ms) => leave(directory, { ms, bytes: 1000 }))
    const s3 = await bucketOf(t)
    await s3.round([directory])
    const listed = () => Object.values(readSent(directory)).flat()
    assert.deepEqual(listed(), [first, second])
    for (const file of [`${first}`, `${first}.json`]) rmSync(join(directory, file))
    const third = leave(directory, { ms: 3000, bytes: 1000 })
    s3.requests.length = 0
    await s3.round([directory])
    assert.deepEqual(listed(), [second, third])
    assert.equal(s3.requests.length, 3)
  })

  for (const [who, claim] of [
    ['an S3 that claims to have everything', { 'x-amz-meta-digest': 'f'.repeat(64) }],
    ['someone who may write to the bucket', {}],
  ] as const)
    it(`a dump that ${who} has put there by its name alone is sent before it is deleted`, async (t) => {
      const directory = scratch(t)
      const names = ['cpu-7-1000.cpuprofile', 'heap-limit-memory-7-2000.heapsnapshot']
      for (const name of names) leave(directory, { name, content: '{}' })
      const s3 = await bucketOf(t, { deleteAfterUpload: true })
      s3.claim = claim
      const { end, news } = await s3.round([directory])
      assert.deepEqual(end, { type: 'done', hasAnswered: true })
      assert.deepEqual(
        news.map((one) => textOf(one).split(' ').slice(0, 2).join(' ')),
        names.map((name) => `sent ${name}`),
      )
      for (const name of names) assert.ok(s3.keys().some((key) => key.endsWith(`${name}.gz`)))
      assert.deepEqual(
        names.map((name) => existsSync(join(directory, name))),
        [false, true],
      )
    })

  for (const rule of ['', 'heap-limit-'])
    it(`a ${rule}dump that an earlier process has sent is found there, and deleted unsent`, async (t) => {
      const directory = scratch(t)
      const name = leave(directory, { name: `${rule}memory-7-1000.heapsnapshot`, bytes: 1000 })
      const [file, description] = [join(directory, name), join(directory, `${name}.json`)]
      const [content, text] = [readFileSync(file), readFileSync(description, 'utf8')]
      const s3 = await bucketOf(t, { deleteAfterUpload: true })
      await s3.round([directory])
      // Both are there again, without the note of what was sent, and a dump at the heap limit has been reported meanwhile.
      rmSync(join(directory, SENT_FILE))
      writeFileSync(file, content)
      const reported = rule === '' ? {} : { reported: { pid: 8 } }
      writeFileSync(description, JSON.stringify({ ...(JSON.parse(text) as object), ...reported }))
      s3.requests.length = 0
      assert.deepEqual((await s3.round([directory])).news, [])
      assert.deepEqual(
        s3.requests.map((request) => request.split(' ')[0]),
        ['HEAD'],
      )
      assert.ok(!existsSync(file))
    })

  it('while S3 is away each directory is kept within its bytes', async (t) => {
    const directories = [scratch(t), scratch(t), scratch(t)]
    const left = directories.map((directory) =>
      [1000, 2000, 3000].map((ms) => join(directory, leave(directory, { ms, bytes: 1000 }))),
    )
    const s3 = await bucketOf(t, { maxBytes: 2000 })
    s3.refuse = () => [503, '']
    const { end, news } = await s3.round(directories)
    assert.equal(end.type, 'failed')
    assert.deepEqual(
      left.map((files) => files.map((file) => existsSync(file))),
      directories.map(() => [false, true, true]),
    )
    assert.deepEqual(
      news.map(textOf),
      left.map(([file]) => `${file} was deleted unsent: unsent files exceed maxBytes (2KB)`),
    )
    // The twin: what is sent needs no room.
    s3.refuse = undefined
    const twin = await s3.round(directories)
    assert.deepEqual(twin.end.type, 'done')
    assert.ok(left.every(([, second, third]) => existsSync(second ?? '') && existsSync(third ?? '')))
  })

  it('what S3 never takes is kept within the bytes too, and is the only thing that is deleted', async (t) => {
    const directory = scratch(t)
    const files = [1000, 2000, 3000, 4000].map((ms) => join(directory, leave(directory, { ms, bytes: 1000 })))
    const s3 = await bucketOf(t, { maxBytes: 1000 })
    s3.refuse = (key) => (/-(1000|3000)\./.test(key) ? tooLarge : undefined)
    const { news } = await s3.round([directory])
    assert.equal(news.filter(({ type }) => type === 'sent').length, 2)
    assert.deepEqual(
      files.map((file) => existsSync(file)),
      [false, true, true, true],
    )
  })
})

describe('files of another user that are named like dumps', () => {
  const skip = process.geteuid?.() !== 0 && 'only root can give files away'
  for (const [count, isTold] of [
    [MAX_FOREIGN_NAMES + 1, true],
    [100, false],
  ] as const)
    it(`${count} are ${isTold ? 'told, because they hide others' : 'passed over'}`, { skip }, async (t) => {
      const directory = scratch(t)
      for (let n = 1; n <= count; n++) {
        const file = join(directory, `cpu-${n}-1.cpuprofile.json`)
        writeFileSync(file, '')
        chownSync(file, 65534, 65534)
      }
      const s3 = await bucketOf(t)
      const { end, news } = await s3.round([directory])
      assert.equal(end.type, 'done')
      const message =
        `dumps of other processes in ${directory} may be missed, for the upload and for maxBytes: ` +
        'it holds more than 5000 files of other users that are named like dumps'
      assert.deepEqual(new Set(news.map(textOf)), new Set(isTold ? [message] : []))
    })
})

describe('the files of the own dumps', () => {
  it('are sent and counted for maxBytes whatever others have put there, and those of others are not', async (t) => {
    const [directory, elsewhere] = [scratch(t), scratch(t)]
    // The directory is read until there are too many names: then nothing is found there.
    t.mock.method(fs, 'opendirSync', () => ({ readSync: () => ({ name: 'x' }), closeSync: () => undefined }))
    const [own, sent, other, gone] = [1000, 2000, 3000, 4000].map((ms) =>
      leave(directory, { ms, bytes: 1000 }),
    )
    const inAnother = leave(elsewhere, { ms: 5000, bytes: 1000 })
    const s3 = await bucketOf(t, { maxBytes: 1000 })
    rmSync(join(directory, `${gone}`))
    writeFileSync(join(directory, 'cpu-7-6000.cpuprofile'), 'without a .json')
    s3.own = [`${own}`, `${sent}`, `${gone}`, 'cpu-7-6000.cpuprofile', '../x', ''].map((name) =>
      join(directory, name),
    )
    s3.own.push(join(elsewhere, inAnother))
    s3.refuse = () => [503, '']
    await s3.round([directory])
    assert.deepEqual(
      [own, sent, other].map((name) => existsSync(join(directory, `${name}`))),
      [false, true, true],
    )
    s3.refuse = undefined
    const { end, news } = await s3.round([directory])
    assert.deepEqual(end, { type: 'done', hasAnswered: true })
    const lines = news.filter(({ type }) => type === 'sent').map(textOf)
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', new RegExp(`^sent ${sent} `))
    // The next round sends none of them again.
    assert.deepEqual(
      (await s3.round([directory])).news.filter(({ type }) => type === 'sent'),
      [],
    )
  })

  it('are sent once where the directory shows them too', async (t) => {
    const directory = scratch(t)
    const names = [1000, 2000].map((ms) => leave(directory, { ms, bytes: 1000 }))
    const s3 = await bucketOf(t)
    s3.own = names.slice(1).map((name) => join(directory, name))
    const { news } = await s3.round([directory])
    assert.deepEqual(
      news.map((one) => textOf(one).split(' ')[1]),
      names,
    )
  })
})

describe('while a neighbour has the turn', { skip: noTurns }, () => {
  for (const [what, firstMs] of [
    ['what has waited for long is kept within the bytes', 1000],
    ['what has come of late stays, because the neighbour sends it', Date.now()],
  ] as const)
    it(what, async (t) => {
      const directory = scratch(t)
      const files = [0, 1, 2].map((ms) =>
        join(directory, leave(directory, { ms: firstMs + ms, bytes: 1000 })),
      )
      const { dev, ino } = statSync(directory)
      const name = `cpu-memory-monitor/${process.geteuid?.()}/s3/${dev}:${ino}`
      const endTurn = await takeTurn({ name, longestMs: 0, early: new AbortController().signal })
      const s3 = await bucketOf(t, { maxBytes: 2000 })
      const { end, news } = await s3.round([directory])
      assert.equal(end.type, 'busy')
      const isKept = files.map((file) => existsSync(file))
      assert.deepEqual(isKept, [firstMs !== 1000, true, true])
      assert.deepEqual(
        news.map(textOf),
        firstMs === 1000 ? [`${files[0]} was deleted unsent: unsent files exceed maxBytes (2KB)`] : [],
      )
      assert.deepEqual(s3.requests, [])
      endTurn?.()
      assert.equal(
        (await s3.round([directory])).news.length,
        isKept.filter(Boolean).length,
        'then they are sent',
      )
    })

  it('two processes that make room at once delete what one of them would', async (t) => {
    const directory = scratch(t)
    const files = Array.from({ length: 12 }, (_, ms) =>
      join(directory, leave(directory, { ms: 1000 + ms, bytes: 1000 })),
    )
    const s3 = await bucketOf(t, { maxBytes: 4000 })
    s3.refuse = () => [503, '']
    const rounds = await Promise.all([1, 2, 3].map(() => s3.round([directory])))
    assert.deepEqual(
      files.map((file) => existsSync(file)),
      files.map((_, index) => index >= 8),
    )
    const told = rounds.flatMap(({ news }) => news.map(textOf))
    assert.deepEqual(new Set(told).size, told.length, 'each is told once')
    assert.equal(told.length, 8)
  })
})

const tooLarge: [number, string] = [413, '<html>\n<body>Request Entity Too Large</body></html>']

const textOf = (news: RoundNews | undefined): string =>
  news === undefined ? '' : news.type === 'sent' ? news.line : news.message
const keyOf = (request: string): string => request.split(' ')[1]?.replace(/\.(gz|json)$/, '') ?? ''

/** What a bucket does with small objects, and what a proxy before it may do. */
async function bucketOf(t: TestContext, more: object = {}) {
  const objects = new Map<string, OutgoingHttpHeaders>()
  const bucket = {
    requests: [] as string[],
    refuse: undefined as ((key: string) => [number, string] | undefined) | undefined,
    last: new Set<string>(),
    own: [] as string[],
    refuseHead: undefined as number | undefined,
    /** Headers with which it claims to have each key. */
    claim: undefined as OutgoingHttpHeaders | undefined,
    keys: () => [...objects.keys()],
    round: async (directories: readonly string[]): Promise<{ end: RoundEnd; news: RoundNews[] }> => {
      const news: RoundNews[] = []
      const tell = (one: RoundNews): void => void news.push(one)
      const end = await runRound(
        { ...order, last: bucket.last, own: new Set(bucket.own), directories },
        tell,
        new AbortController().signal,
      )
      return { end, news }
    },
  }
  const respond = async (request: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const { method, url = '' } = request
    const key = url.split('?')[0] ?? ''
    bucket.requests.push(`${method} ${key}`)
    await once(request.resume(), 'end')
    if (method === 'HEAD') {
      const found = bucket.claim ?? objects.get(key)
      answer.writeHead(bucket.refuseHead ?? (found ? 200 : 404), found).end()
    } else {
      const [status, body] = bucket.refuse?.(key) ?? [200, '']
      const metadata = Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-meta-'))
      if (status === 200) objects.set(key, Object.fromEntries(metadata))
      answer.writeHead(status).end(body)
    }
  }
  const server = createServer((request, answer) => void respond(request, answer).catch(() => undefined))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const settings = resolveUploadOptions({
    bucket: 'evidence',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    ...more,
  })
  const order: Omit<RoundOrder, 'directories' | 'last' | 'own'> = {
    ...{ host: hostname(), settings, peers: findPeers(), isOnThread: false, done: new Map() },
  }
  return bucket
}
