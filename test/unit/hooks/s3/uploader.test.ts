import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Done, RoundEnd, RoundNews, RoundOrder } from '../../../../src/hooks/s3/round'
import { LONGEST_WAIT_MS, MOST_OWN_FILES, Uploader } from '../../../../src/hooks/s3/uploader'

// The attempts rest on unref'd timers.
const hold = setInterval(() => undefined, 1000)
after(() => clearInterval(hold))

interface Begun {
  readonly directories: readonly string[]
  readonly done: ReadonlyMap<string, Done>
  readonly last: readonly string[]
  readonly own: readonly string[]
  readonly end: (end: RoundEnd) => Promise<void>
  readonly tell: (news: RoundNews) => void
  isStopped: boolean
}

/** Rounds that end when the test wants it. */
function stage(random = 1) {
  const rounds: Begun[] = []
  const said: string[] = []
  const report = {
    info: (line: string) => void said.push(`info ${line}`),
    failure: ({ stage: at, message }: { stage: string; message: string }) =>
      void said.push(`${at} ${message}`),
  }
  const startRound = (
    { directories, done, last, own }: Pick<RoundOrder, 'directories' | 'done' | 'last' | 'own'>,
    tell: (news: RoundNews) => void,
  ) => {
    let resolve: (end: RoundEnd) => void = () => undefined
    const ended = new Promise<RoundEnd>((settle) => (resolve = settle))
    const begun: Begun = {
      ...{ directories, tell, isStopped: false, done: new Map(done), last: [...last], own: [...own] },
      async end(end) {
        resolve(end)
        await new Promise(setImmediate)
      },
    }
    rounds.push(begun)
    return { ended, stop: () => void (begun.isStopped = true) }
  }
  const uploader = new Uploader({ startRound, random: () => random }, report)
  const round = (at: number): Begun => rounds[at] ?? assert.fail(`there is no round ${at}`)
  return { uploader, rounds, round, said, report }
}

const away = (message = 'S3 does not answer'): RoundEnd => ({
  type: 'failed',
  verdict: { kind: 'away', message },
})

const DONE: RoundEnd = { type: 'done', hasAnswered: true }

/** Attempts follow at once. */
const AT_ONCE = -1

async function begun(rounds: readonly Begun[], count: number): Promise<void> {
  while (rounds.length < count) await pause(1)
}

test('the promised number: stop() waits for less than the 30 s that Kubernetes grants', () => {
  assert.equal(LONGEST_WAIT_MS, 20_000)
})

test('a dump starts a round, and one that comes meanwhile another round after it', async () => {
  const { uploader, rounds, round } = stage()
  const first = uploader.send('/a')
  let isSent = false
  const second = uploader.send('/b').then(() => (isSent = true))
  assert.deepEqual(round(0).directories, ['/a'])
  await round(0).end(DONE)
  assert.deepEqual(round(1).directories, ['/a', '/b'])
  assert.equal(isSent, false)
  await round(1).end(DONE)
  await Promise.all([first, second])
  assert.equal(rounds.length, 2)
})

test('each round has the files of the own dumps, also of those before, and no more than the newest 1000', async () => {
  const { uploader, round } = stage()
  void uploader.send('/a', ['/a/1', '/a/1-worker'])
  await round(0).end(DONE)
  void uploader.send('/b', ['/b/2'])
  assert.deepEqual(round(0).own, ['/a/1', '/a/1-worker'])
  assert.deepEqual(round(1).own, ['/a/1', '/a/1-worker', '/b/2'])
  await round(1).end(DONE)
  void uploader.send(
    '/c',
    Array.from({ length: 999 }, (_, index) => `/c/${index}`),
  )
  assert.equal(MOST_OWN_FILES, 1000)
  assert.deepEqual([round(2).own.length, round(2).own[0], round(2).own[1]], [1000, '/b/2', '/c/0'])
})

test('an S3 that is away is one failure, and a dump does not bring the next attempt forward', async () => {
  const { uploader, rounds, round, said } = stage()
  void uploader.send('/a')
  await round(0).end(away())
  assert.deepEqual(said, [
    'upload S3 does not answer; the upload is tried again, and unsent dumps stay on disk',
  ])
  // The next attempt has its time: a dump does not bring it forward, and is not waited for.
  await uploader.send('/a')
  assert.equal(rounds.length, 1)
})

test('an outage lasts until S3 has answered: not while a neighbour sends, nor where nothing waits', async () => {
  const { uploader, rounds, round, said } = stage(AT_ONCE)
  void uploader.send('/a')
  await round(0).end(away())
  await begun(rounds, 2)
  // A dump that comes meanwhile starts the next round when this one ends.
  void uploader.send('/a')
  await round(1).end({ type: 'busy', hasAnswered: false })
  await begun(rounds, 3)
  await round(2).end(away())
  await begun(rounds, 4)
  await round(3).end({ type: 'done', hasAnswered: false })
  // No attempt is due any more, so that a dump is one.
  void uploader.send('/a')
  await begun(rounds, 5)
  await round(4).end(away())
  await begun(rounds, 6)
  const reported = 'upload S3 does not answer; the upload is tried again, and unsent dumps stay on disk'
  assert.deepEqual(said, [reported])
  await round(5).end(DONE)
  assert.deepEqual(said, [reported, 'info uploads to S3 succeed again'])
  void uploader.send('/a')
  await round(6).end(away())
  assert.equal(said.filter((line) => line === reported).length, 2)
})

test('a dump that comes during an attempt is looked for after it', async () => {
  const { uploader, rounds, round } = stage(AT_ONCE)
  void uploader.send('/a')
  await round(0).end(away())
  await begun(rounds, 2)
  await uploader.send('/a')
  await round(1).end(DONE)
  assert.equal(rounds.length, 3)
  await round(2).end(DONE)
  assert.equal(rounds.length, 3)
})

test('the artefacts at which rounds failed are sent last, until S3 answers again', async () => {
  const { uploader, rounds, round } = stage(AT_ONCE)
  void uploader.send('/a')
  for (const [at, file] of ['/a/1', '/a/2'].entries()) {
    await begun(rounds, at + 1)
    await round(at).end({ ...(away() as RoundEnd & { type: 'failed' }), file })
  }
  await begun(rounds, 3)
  assert.deepEqual(round(2).last, ['/a/1', '/a/2'])
  await round(2).end(DONE)
  void uploader.send('/a')
  assert.deepEqual(round(3).last, [])
})

test('a file that cannot be read is reported once, and only an error that may pass is tried again', async () => {
  const { uploader, round, said } = stage()
  void uploader.send('/a')
  for (let time = 0; time < 2; time++) {
    round(0).tell({ type: 'failing', directory: '/a', file: '/a/1', message: '/a/1: EIO' })
    round(0).tell({ type: 'unsendable', directory: '/a', file: '/a/2', message: '/a/2: no snapshot' })
  }
  assert.deepEqual(said, ['upload /a/1: EIO', 'upload /a/2: no snapshot'])
  await round(0).end(DONE)
  void uploader.send('/a')
  assert.deepEqual([...round(1).done.keys()], ['/a/2'])
})

test('what was sent and what was lost is reported', () => {
  const { uploader, round, said } = stage()
  void uploader.send('/a')
  round(0).tell({ type: 'sent', line: 'sent x' })
  round(0).tell({ type: 'lost', message: 'x: EIO' })
  assert.deepEqual(said, ['info sent x', 'upload x: EIO'])
})

test('what no list has, and what is another file, is reported once and left out of the rounds that follow', async () => {
  const { uploader, round, said } = stage()
  void uploader.send('/a')
  const unlisted = { type: 'unlisted', directory: '/a', message: 'the list cannot be written' } as const
  for (const file of ['/a/1', '/a/2']) round(0).tell({ ...unlisted, file })
  round(0).tell({ ...unlisted, directory: '/b', file: '/b/1' })
  for (const file of ['/a/3', '/a/4'])
    round(0).tell({ type: 'another', directory: '/a', file, message: `${file} is another file` })
  assert.deepEqual(said, [
    'upload the list cannot be written',
    'upload the list cannot be written',
    'upload /a/3 is another file',
    'upload /a/4 is another file',
  ])
  assert.deepEqual([...round(0).done], [])
  await round(0).end(DONE)
  void uploader.send('/a')
  assert.deepEqual([...round(1).done.keys()], ['/a/1', '/a/2', '/b/1', '/a/3', '/a/4'])
})

test('the end of the last monitor ends the round, and a result that comes later changes nothing', async () => {
  const { uploader, rounds, round, said, report } = stage()
  const ends = [1, 2].map(() => uploader.begin({ directories: ['/a'], report }))
  const sent = uploader.send('/a')
  ends[0]?.()
  assert.equal(round(0).isStopped, false)
  ends[1]?.()
  assert.equal(round(0).isStopped, true)
  await sent
  await round(0).end(away())
  assert.deepEqual([rounds.length, said], [1, []])
})

test('a directory of which not all is read is one failure, until a round has read all of it', async () => {
  const { uploader, round, said } = stage()
  const crowd = (at: number): void =>
    round(at).tell({ type: 'incomplete', directory: '/a', message: 'not all of /a is read' })
  const failure = 'upload not all of /a is read'
  const next = async (at: number, isCrowded: boolean): Promise<void> => {
    void uploader.send('/a')
    if (isCrowded) for (let time = 0; time < 3; time++) crowd(at)
    await round(at).end(DONE)
  }
  await next(0, false)
  assert.deepEqual(said, [])
  await next(1, true)
  await next(2, true)
  assert.deepEqual(said, [failure])
  await next(3, false)
  await next(4, true)
  assert.deepEqual(said, [failure, failure])
})
