import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DISCONNECT_GRACE_MS } from '../../../../src/cluster/plan/reconciler'
import { KILL_GRACE_MS } from '../../../../src/cluster/plan/roster'
import { MB, SETTINGS, Stage } from './stage'

const SETTLED_BY_MS = SETTINGS.killTimeoutMs + KILL_GRACE_MS

describe('start', () => {
  test('forks as many as are wanted and waits for them', () => {
    const stage = new Stage()
    assert.deepEqual(stage.forked, [1, 2, 3])
    assert.equal(stage.count('ready'), 0)
  })

  test('a worker is ready when it reports that it has started', () => {
    const stage = new Stage()
    stage.announce(2)
    assert.deepEqual(stage.states(), ['1 starting', '2 ready', '3 starting'])
  })

  test('one that is not ready in time gets SIGKILL, one that is does not', () => {
    const stage = new Stage()
    stage.announce(1)
    stage.announce(2)
    stage.pass(29_999)
    assert.deepEqual(stage.killed, [])
    stage.pass(1)
    assert.deepEqual(stage.killed, [3])
    stage.exit(3, null, 'SIGKILL')
    const crash = stage.news.find((news) => news.name === 'crash')
    assert.equal(crash?.name === 'crash' && crash.cause, 'run-not-called')
  })

  test('one that has called run and is not ready in time was only slow', () => {
    const stage = new Stage({ count: 1 })
    stage.give({ type: 'joined', key: 1 })
    stage.pass(30_000)
    assert.deepEqual(stage.killed, [1])
    stage.exit(1, null, 'SIGKILL')
    const crash = stage.news.find((news) => news.name === 'crash')
    assert.deepEqual(crash?.name === 'crash' && [crash.cause, crash.missing], ['start-timeout', []])
  })
})

describe('a worker over its limit', () => {
  test('is ordered to drain only when its replacement is ready', () => {
    const stage = new Stage().settled()
    stage.over(2)
    assert.deepEqual(stage.forked, [1, 2, 3, 4])
    assert.deepEqual(stage.drained, [])
    stage.announce(4)
    assert.deepEqual(stage.drained, [{ key: 2, reason: 'over', at: 60_000 }])
  })

  test('waits until the replacement listens on every address that it holds', () => {
    const stage = new Stage().settled()
    for (const address of ['4:127.0.0.1:80', '4:127.0.0.1:81'])
      stage.give({ type: 'listening', key: 2, address })
    stage.over(2)
    stage.announce(4)
    stage.give({ type: 'listening', key: 4, address: '4:127.0.0.1:80' })
    assert.deepEqual(stage.drained, [])
    stage.give({ type: 'listening', key: 4, address: '4:127.0.0.1:81' })
    assert.equal(stage.drained.length, 1)
  })

  test('waits for an address that the others have, not for one that it alone has', () => {
    const stage = new Stage().settled()
    for (const key of [1, 2]) stage.give({ type: 'listening', key, address: '*:80' })
    for (const key of [1, 2, 3]) stage.give({ type: 'listening', key, address: `*:900${key}` })
    stage.over(2)
    stage.announce(4)
    assert.deepEqual(stage.drained, [])
    stage.give({ type: 'listening', key: 4, address: '*:80' })
    assert.equal(stage.drained.length, 1)
  })

  test('waits for no address on which it no longer listens', () => {
    const stage = new Stage({ count: 1 }).settled()
    for (const address of ['*:80', '*:50001']) stage.give({ type: 'listening', key: 1, address })
    stage.give({ type: 'shut', key: 1, address: '*:50001' })
    stage.over(1)
    stage.announce(2)
    assert.deepEqual(stage.drained, [])
    stage.give({ type: 'listening', key: 2, address: '*:80' })
    assert.equal(stage.drained.length, 1)
  })

  test('an address that it closes while it drains is still expected of its successor', () => {
    const stage = new Stage({ maxSurge: 0 }).settled()
    stage.give({ type: 'listening', key: 2, address: '*:80' })
    stage.over(2)
    stage.give({ type: 'shut', key: 2, address: '*:80' })
    stage.give({ type: 'closed', key: 2 })
    stage.announce(4)
    assert.deepEqual(stage.states().at(-1), '4 starting')
    stage.give({ type: 'listening', key: 4, address: '*:80' })
    assert.deepEqual(stage.states().at(-1), '4 ready')
  })

  test('asks any number of times and counts once', () => {
    const stage = new Stage().settled()
    for (let times = 0; times < 5; times += 1) stage.over(2)
    assert.equal(stage.forked.length, 4)
    assert.equal(stage.count('over'), 1)
  })

  test('is left alone when its memory falls before its turn comes', () => {
    const stage = new Stage().settled()
    stage.over(1)
    stage.over(2)
    stage.give({ type: 'reading', key: 2, rssBytes: 90 * MB })
    stage.announce(4)
    stage.exit(1)
    stage.pass(60_000)
    assert.equal(stage.forked.length, 4)
  })

  test('frees the lease by its exit, and no worker is forked for it', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.announce(4)
    stage.pass(1200)
    stage.exit(2)
    stage.pass(60_000)
    assert.deepEqual(stage.forked, [1, 2, 3, 4])
    const recycled = stage.news.find((news) => news.name === 'recycled')
    assert.deepEqual(recycled, {
      name: 'recycled',
      key: 2,
      reason: 'over',
      rssBytes: 120 * MB,
      durationMs: 1200,
      code: 0,
      signal: null,
    })
    assert.equal(stage.count('crash'), 0)
  })
})

describe('a worker over its limit while it boots', () => {
  test('is not replaced for that when it is ready, and no event is emitted', () => {
    const stage = new Stage()
    stage.over(1)
    for (const key of [1, 2, 3]) stage.announce(key)
    stage.pass(60_000)
    assert.deepEqual(stage.forked, [1, 2, 3])
    assert.equal(stage.count('over'), 0)
  })

  test('is replaced when it reports so again, with a lifetime that counts from when it was ready', () => {
    const stage = new Stage()
    stage.over(1)
    stage.pass(2000)
    for (const key of [1, 2, 3]) stage.announce(key)
    stage.pass(500)
    stage.over(1)
    stage.announce(4)
    assert.deepEqual(
      stage.drained.map((each) => each.key),
      [1],
    )
    const thrash = stage.news.find((news) => news.name === 'thrash')
    assert.equal(thrash?.name === 'thrash' && thrash.lifetimeMs, 500)
  })
})

describe('the lease', () => {
  test('all over at once: one by one, the largest first', () => {
    const stage = new Stage().settled()
    stage.over(1, 120 * MB)
    stage.over(2, 140 * MB)
    stage.over(3, 130 * MB)
    const order: number[] = []
    for (let key = 4; key <= 6; key += 1) {
      assert.equal(stage.forked.at(-1), key)
      stage.announce(key)
      const old = stage.drained.at(-1)?.key ?? 0
      order.push(old)
      assert.equal(stage.drained.length, key - 3)
      stage.exit(old)
    }
    assert.deepEqual(order, [1, 2, 3])
  })

  test('the queue behind a running replacement is ordered by size', () => {
    const stage = new Stage().settled()
    stage.over(1, 120 * MB)
    stage.over(2, 130 * MB)
    stage.over(3, 140 * MB)
    for (const key of [4, 5, 6]) {
      stage.announce(key)
      stage.exit(stage.drained.at(-1)?.key ?? 0)
    }
    assert.deepEqual(
      stage.drained.map((each) => each.key),
      [1, 3, 2],
    )
  })

  test('no worker is replaced while fewer than all are ready', () => {
    const stage = new Stage()
    stage.announce(1)
    stage.announce(2)
    stage.over(1)
    assert.equal(stage.forked.length, 3)
    stage.announce(3)
    assert.equal(stage.forked.length, 4)
  })
})

describe('what can go wrong with a replacement', () => {
  test('it dies before it is ready: the old one serves on, the next attempt waits', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.exit(4, 7)
    assert.equal(stage.drained.length, 0)
    assert.equal(stage.forked.length, 4)
    stage.pass(999)
    assert.equal(stage.forked.length, 4)
    stage.pass(1)
    assert.equal(stage.forked.length, 5)
    stage.exit(5, 7)
    stage.pass(1999)
    assert.equal(stage.forked.length, 5)
    stage.pass(1)
    assert.equal(stage.forked.length, 6)
    stage.announce(6)
    assert.deepEqual(
      stage.drained.map((each) => each.key),
      [2],
    )
  })

  test('it dies again and again: each attempt waits, also when the others prove meanwhile that they can live', () => {
    const stage = new Stage()
    for (const key of [1, 2, 3]) stage.announce(key)
    stage.pass(4000)
    stage.over(2)
    stage.exit(4, 7)
    stage.pass(1000)
    stage.exit(5, 7)
    stage.pass(2000)
    stage.exit(6, 7)
    // All three prove themselves at 10 s, while the next attempt waits until 11 s.
    stage.pass(3999)
    assert.deepEqual(stage.forked, [1, 2, 3, 4, 5, 6])
    stage.pass(1)
    assert.deepEqual(stage.forked, [1, 2, 3, 4, 5, 6, 7])
    stage.exit(7, 7)
    stage.pass(999)
    assert.equal(stage.forked.length, 7)
    stage.pass(1)
    assert.equal(stage.forked.length, 8)
  })

  test('it holds too few addresses: it gets SIGKILL, the old one serves on', () => {
    const stage = new Stage().settled()
    stage.give({ type: 'listening', key: 2, address: '4:127.0.0.1:80' })
    stage.over(2)
    stage.announce(4)
    stage.pass(30_000)
    assert.deepEqual(stage.killed, [4])
    assert.deepEqual(stage.drained, [])
    stage.exit(4, null, 'SIGKILL')
    const crash = stage.news.find((news) => news.name === 'crash')
    assert.deepEqual(crash?.name === 'crash' && crash.missing, ['4:127.0.0.1:80'])
  })

  test('it listens on the last address after its SIGKILL: that address still counts as missing', () => {
    const stage = new Stage().settled()
    const address = '4:127.0.0.1:80'
    stage.give({ type: 'listening', key: 2, address })
    stage.over(2)
    stage.announce(4)
    stage.pass(30_000)
    assert.deepEqual(stage.killed, [4])
    stage.give({ type: 'listening', key: 4, address })
    assert.equal(stage.count('ready'), 3)
    stage.exit(4, null, 'SIGKILL')
    const crash = stage.news.find((news) => news.name === 'crash')
    assert.deepEqual(crash?.name === 'crash' && crash.missing, [address])
  })

  test('it listens on the last address in the moment of its deadline: it is ready, and gets no SIGKILL', () => {
    const stage = new Stage().settled()
    const address = '4:127.0.0.1:80'
    stage.give({ type: 'listening', key: 2, address })
    stage.over(2)
    stage.announce(4)
    stage.pass(29_999)
    // The timer is late, and the message comes before it.
    stage.now += 2
    stage.give({ type: 'listening', key: 4, address })
    assert.deepEqual(stage.killed, [])
    assert.deepEqual(
      stage.drained.map(({ key }) => key),
      [2],
    )
  })

  test('the old worker dies before the replacement is ready: it takes the place, no second fork', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.exit(2, null, 'SIGKILL')
    stage.pass(10_000)
    stage.announce(4)
    stage.pass(60_000)
    assert.deepEqual(stage.forked, [1, 2, 3, 4])
    assert.deepEqual(stage.drained, [])
    assert.deepEqual(stage.states(), ['1 ready', '3 ready', '4 ready'])
  })

  test('another worker dies before the replacement is ready: it fills that gap, the old one asks again', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.exit(3, 1)
    stage.announce(4)
    assert.deepEqual(stage.forked, [1, 2, 3, 4, 5])
    stage.announce(5)
    assert.deepEqual(
      stage.drained.map((each) => each.key),
      [2],
    )
  })

  test('it dies while the old one drains: one fork', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.announce(4)
    stage.exit(4, null, 'SIGKILL')
    stage.pass(1250)
    assert.equal(stage.forked.length, 5)
    stage.announce(5)
    stage.exit(2)
    stage.pass(60_000)
    assert.equal(stage.forked.length, 5)
  })

  test('the old worker is killed while it drains: no worker is forked, the lease is free', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.announce(4)
    stage.exit(2, null, 'SIGKILL')
    stage.pass(60_000)
    assert.equal(stage.forked.length, 4)
    stage.over(1)
    assert.equal(stage.forked.length, 5)
  })

  test('the old worker hangs while it drains: SIGKILL after its own deadline and the grace', () => {
    assert.equal(KILL_GRACE_MS, 2000)
    const stage = new Stage().settled()
    stage.over(2)
    stage.announce(4)
    stage.pass(6999)
    assert.deepEqual(stage.killed, [])
    stage.pass(1)
    assert.deepEqual(stage.killed, [2])
    stage.exit(2, null, 'SIGKILL')
    assert.equal(stage.forked.length, 4)
  })

  test('the old worker exists after SIGKILL too: no process is added until it is gone', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.announce(4)
    stage.over(1)
    stage.pass(600_000)
    assert.deepEqual([stage.killed, stage.forked.length], [[2], 4])
    stage.exit(2, null, 'SIGKILL')
    assert.equal(stage.forked.length, 5)
  })
})

describe('crashes', () => {
  test('a worker that lived long is replaced at once, one that died young is not', () => {
    const stage = new Stage().settled()
    stage.exit(1, 1)
    assert.equal(stage.forked.length, 4)
    stage.announce(4)
    stage.exit(4, 1)
    assert.equal(stage.forked.length, 4)
    stage.pass(1000)
    assert.equal(stage.forked.length, 5)
  })

  test('an exit that is reported twice, or of an unknown worker, changes nothing', () => {
    const stage = new Stage().settled()
    stage.exit(1, 1)
    stage.exit(1, 1)
    stage.exit(99, 1)
    assert.equal(stage.forked.length, 4)
    assert.equal(stage.count('crash'), 1)
  })

  test('all die at boot, always: one fork per step and place, without end, and all come back once it is repaired', () => {
    const stage = new Stage()
    let broken = true
    stage.onFork = (key) => queue.push(key)
    const queue = [...stage.forked]
    const play = () => {
      for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
        if (broken) stage.exit(key, 7)
        else stage.announce(key)
      }
    }
    for (let ms = 0; ms < 4000; ms += 10) {
      play()
      stage.pass(10)
    }
    assert.equal(stage.forked.length, 9)
    for (let s = 0; s < 3600; s += 1) {
      play()
      stage.pass(1000)
    }
    assert.ok(stage.forked.length < 3 * (3600 / 22), `${stage.forked.length} forks in an hour`)
    assert.ok(stage.forked.length > 3 * (3600 / 45), `${stage.forked.length} forks in an hour`)
    broken = false
    for (let ms = 0; ms < 60_000; ms += 100) {
      play()
      stage.pass(100)
    }
    assert.equal(stage.states().filter((state) => state.endsWith(' ready')).length, 3)
  })

  test('when one comes up, the others wait no longer than the base', () => {
    const stage = new Stage()
    for (let round = 0; round < 6; round += 1) {
      for (const key of stage.forked.slice(-3)) stage.exit(key, 7)
      stage.pass(40_000)
    }
    const [first = 0, second = 0, third = 0] = stage.forked.slice(-3)
    stage.exit(second, 7)
    stage.exit(third, 7)
    const before = stage.forked.length
    stage.announce(first)
    stage.pass(1000)
    assert.equal(stage.forked.length, before + 2)
  })

  test('a failed fork is a crash: it backs off and tries again', () => {
    const stage = new Stage()
    for (const key of [1, 2, 3]) stage.give({ type: 'fork-failed', key })
    assert.equal(stage.forked.length, 3)
    assert.equal(stage.count('backoff'), 1)
    stage.pass(1000)
    assert.equal(stage.forked.length, 6)
  })

  test('the count of crashes starts again once a worker has lived', () => {
    const stage = new Stage()
    for (let round = 0; round < 4; round += 1) {
      stage.exit(stage.forked.at(-1) ?? 0, 7)
      stage.pass(30_000)
    }
    for (const key of stage.reconciler.slots.keys()) stage.announce(key)
    stage.pass(10_000)
    stage.exit(stage.forked.at(-1) ?? 0, 7)
    const last = stage.forked.length
    stage.announce(last)
    stage.exit(last, 7)
    const backoff = stage.news.filter((news) => news.name === 'backoff').at(-1)
    assert.equal(backoff?.name === 'backoff' && backoff.step, 1)
  })

  test('addresses of crashed workers do not pile up', () => {
    const stage = new Stage({ count: 2 }).settled()
    for (const key of [1, 2]) stage.give({ type: 'listening', key, address: '*:80' })
    for (const [dead, next] of [
      [1, 3],
      [3, 4],
    ] as const) {
      stage.give({ type: 'listening', key: dead, address: `*:900${dead}` })
      stage.exit(dead, 1)
      stage.announce(next)
      stage.give({ type: 'listening', key: next, address: '*:80' })
      assert.deepEqual(stage.states().at(-1), `${next} ready`)
      stage.pass(20_000)
    }
  })

  test('the next holder of a place is ready when it listens where the last one did, or when its time is up', () => {
    const stage = new Stage().settled()
    stage.give({ type: 'listening', key: 1, address: '4:127.0.0.1:80' })
    stage.exit(1, 1)
    stage.announce(4)
    assert.deepEqual(stage.states().at(-1), '4 starting')
    stage.pass(30_000)
    assert.deepEqual(stage.states().at(-1), '4 ready')
    assert.deepEqual(stage.killed, [])
  })
})

describe('a limit that cannot be kept', () => {
  test('below the size at birth: no worker is forked beyond the count, one warning', () => {
    const stage = new Stage()
    for (const key of [1, 2, 3]) stage.announce(key, 110 * MB)
    for (let round = 0; round < 20; round += 1) {
      for (const key of [1, 2, 3]) stage.over(key, 115 * MB)
      stage.pass(5000)
    }
    assert.equal(stage.forked.length, 3)
    assert.equal(stage.count('limit-unreachable'), 1)
  })

  test('reached soon after birth: the spacing doubles up to its maximum', () => {
    const stage = new Stage({ count: 1 }).settled()
    const queue: number[] = []
    stage.onFork = (key) => queue.push(key)
    for (let ms = 0; ms < 400_000; ms += 100) {
      for (let key = queue.shift(); key !== undefined; key = queue.shift()) stage.announce(key)
      for (const { key } of stage.drained) if (stage.reconciler.slots.has(key)) stage.exit(key)
      for (const [key, slot] of stage.reconciler.slots) if (slot.state === 'ready') stage.over(key)
      stage.pass(100)
    }
    const gaps = stage.drained.slice(1).map((each, i) => each.at - (stage.drained[i]?.at ?? 0))
    assert.deepEqual(
      gaps.slice(0, 8).map((gap) => Math.round(gap / 1000)),
      [0, 1, 2, 4, 8, 16, 30, 30],
    )
    assert.ok(stage.count('thrash') > 5)
  })
})

describe('the hard limit', () => {
  const hard = { hardLimitBytes: 150 * MB }
  const seen = (...sizes: number[]) => new Map(sizes.map((mb, i) => [i + 1, mb * MB]))

  test('a worker above it is replaced although it never asked', () => {
    const stage = new Stage(hard).settled()
    stage.give({ type: 'seen', rssBytes: seen(60, 151, 60) })
    stage.announce(4)
    assert.deepEqual(stage.drained.at(-1), { key: 2, reason: 'hard-limit', at: 60_000 })
  })

  test('one that hangs as well gets SIGKILL, after its replacement is ready', () => {
    const stage = new Stage(hard).settled()
    for (let reading = 0; reading < 3; reading += 1) {
      for (const key of [1, 3]) stage.give({ type: 'reading', key, rssBytes: 60 * MB })
      stage.give({ type: 'seen', rssBytes: seen(60, 100, 60) })
    }
    stage.give({ type: 'seen', rssBytes: seen(60, 200, 60) })
    assert.deepEqual(stage.killed, [])
    stage.announce(4)
    assert.deepEqual(stage.killed, [2])
    assert.deepEqual(stage.drained, [])
    stage.exit(2, null, 'SIGKILL')
    stage.pass(60_000)
    assert.equal(stage.forked.length, 4)
    assert.equal(stage.count('crash'), 0)
  })

  test('one that reports now and then does not hang: it drains', () => {
    const stage = new Stage(hard).settled()
    for (let reading = 0; reading < 5; reading += 1) {
      if (reading === 2) stage.give({ type: 'reading', key: 2, rssBytes: 100 * MB })
      stage.give({ type: 'seen', rssBytes: seen(60, reading < 4 ? 100 : 200, 60) })
      stage.give({ type: 'reading', key: 2, rssBytes: 100 * MB })
    }
    stage.give({ type: 'seen', rssBytes: seen(60, 200, 60) })
    stage.announce(4)
    assert.deepEqual([stage.killed, stage.drained.map(({ key }) => key)], [[], [2]])
  })

  /** Worker 2 is above the limit; the third worker has died and its successor does not come up. */
  function withOneMissing(silentReadings: number): Stage {
    const stage = new Stage(hard).settled()
    stage.exit(3, 1)
    for (let reading = 0; reading < silentReadings; reading += 1) {
      stage.give({ type: 'reading', key: 1, rssBytes: 60 * MB })
      stage.give({ type: 'seen', rssBytes: seen(60, 200) })
    }
    return stage
  }

  test('one that hangs while another is missing gets SIGKILL at once, and its place is filled', () => {
    const stage = withOneMissing(3)
    assert.deepEqual(stage.killed, [2])
    assert.equal(stage.count('recycle'), 1)
    stage.give({ type: 'seen', rssBytes: seen(60, 200) })
    assert.deepEqual(stage.killed, [2])
    assert.deepEqual(stage.forked, [1, 2, 3, 4])
    stage.announce(4)
    stage.exit(2, null, 'SIGKILL')
    assert.deepEqual(stage.forked, [1, 2, 3, 4, 5])
    stage.announce(5)
    stage.pass(60_000)
    assert.deepEqual(stage.states(), ['1 ready', '4 ready', '5 ready'])
    assert.equal(stage.forked.length, 5)
  })

  test('one that does not hang waits until none is missing', () => {
    const stage = withOneMissing(2)
    stage.pass(20_000)
    assert.deepEqual([stage.killed.length, stage.drained.length], [0, 0])
    stage.announce(4)
    stage.announce(5)
    assert.deepEqual(stage.drained.at(-1)?.key, 2)
  })

  test('it does not wait for the spacing, the soft limit does', () => {
    for (const [sizeMb, forks] of [
      [120, 5],
      [151, 6],
    ] as const) {
      const stage = new Stage({ ...hard, minLifetimeMs: 1_000_000 }).settled()
      stage.over(1)
      stage.announce(4)
      stage.exit(1)
      stage.pass(1000)
      stage.over(2)
      stage.announce(5)
      stage.exit(2)
      stage.over(3, sizeMb * MB)
      assert.equal(stage.forked.length, forks)
    }
  })
})

describe('without surge', () => {
  const bare = { maxSurge: 0 as const }

  test('the old worker drains first; the fork comes when it has stopped accepting', () => {
    const stage = new Stage(bare).settled()
    stage.over(2)
    assert.equal(stage.drained.length, 1)
    assert.equal(stage.forked.length, 3)
    stage.give({ type: 'closed', key: 2 })
    assert.equal(stage.forked.length, 4)
    stage.exit(2)
    stage.announce(4)
    stage.pass(60_000)
    assert.equal(stage.forked.length, 4)
  })

  test('the old worker dies before it reports so: one fork', () => {
    const stage = new Stage(bare).settled()
    stage.over(2)
    stage.exit(2, null, 'SIGKILL')
    stage.pass(60_000)
    assert.equal(stage.forked.length, 4)
  })

  test('the next one waits until the cluster is whole again', () => {
    const stage = new Stage(bare).settled()
    stage.over(1)
    stage.over(2)
    stage.give({ type: 'closed', key: 1 })
    stage.exit(1)
    stage.pass(1000)
    assert.equal(stage.drained.length, 1)
    stage.announce(4)
    assert.equal(stage.drained.length, 2)
  })
})

describe('a worker that was sent SIGTERM', () => {
  test('is replaced through the lease', () => {
    const stage = new Stage().settled()
    stage.give({ type: 'asked', key: 3 })
    assert.equal(stage.forked.length, 4)
    assert.deepEqual(stage.drained, [])
    stage.announce(4)
    assert.deepEqual(stage.drained.at(-1), { key: 3, reason: 'asked', at: 60_000 })
  })
})

describe('evidence after the drain', () => {
  const dump = { dumpDeadlineMs: 60_000 }

  test('the lease is free when the drain ends, before the worker is gone', () => {
    const stage = new Stage(dump).settled()
    stage.over(1)
    stage.over(2)
    stage.announce(4)
    assert.equal(stage.forked.length, 4)
    stage.give({ type: 'drained', key: 1 })
    assert.equal(stage.forked.length, 5)
  })

  test('a worker that writes it has the deadline of the dump and the grace, from the end of its drain on', () => {
    const stage = new Stage(dump).settled()
    stage.over(1)
    stage.announce(4)
    stage.pass(4000)
    stage.give({ type: 'drained', key: 1 })
    stage.pass(61_999)
    assert.deepEqual(stage.killed, [])
    stage.pass(1)
    assert.deepEqual(stage.killed, [1])
  })

  test('one that does not come to write it has no more time than without', () => {
    const stage = new Stage(dump).settled()
    stage.over(1)
    stage.announce(4)
    stage.pass(6999)
    assert.deepEqual(stage.killed, [])
    stage.pass(1)
    assert.deepEqual(stage.killed, [1])
  })

  test('stop waits for it no longer than for the others', () => {
    const stage = new Stage(dump).settled()
    stage.over(1)
    stage.announce(4)
    stage.give({ type: 'drained', key: 1 })
    stage.over(2)
    stage.announce(5)
    stage.give({ type: 'stop' })
    stage.give({ type: 'drained', key: 2 })
    for (const key of [3, 4, 5]) stage.exit(key)
    stage.pass(6999)
    assert.deepEqual(stage.killed, [])
    stage.pass(1)
    assert.deepEqual(stage.killed, [1, 2])
  })

  test('stop gives no worker more time than it had', () => {
    const stage = new Stage(dump).settled()
    stage.over(1)
    stage.announce(4)
    stage.give({ type: 'drained', key: 1 })
    stage.pass(60_000)
    stage.give({ type: 'stop' })
    stage.pass(1999)
    assert.deepEqual(stage.killed, [])
    stage.pass(1)
    assert.deepEqual(stage.killed, [1])
  })
})

describe('stop', () => {
  test('all drain at once; it is finished when the last is gone, and none is forked', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.give({ type: 'stop' })
    assert.deepEqual(
      stage.drained.map((each) => [each.key, each.reason]),
      [1, 2, 3, 4].map((key) => [key, 'stop']),
    )
    for (const key of [1, 2, 3]) stage.exit(key)
    assert.equal(stage.finished, false)
    stage.exit(4, 1)
    assert.equal(stage.finished, true)
    stage.pass(60_000)
    assert.equal(stage.forked.length, 4)
    assert.equal(stage.count('crash'), 0)
  })

  test('a worker that does not go gets SIGKILL', () => {
    const stage = new Stage({ count: 1 }).settled()
    stage.give({ type: 'stop' })
    stage.give({ type: 'stop' })
    assert.equal(stage.drained.length, 1)
    stage.pass(7000)
    assert.deepEqual(stage.killed, [1])
  })

  test('a worker that calls run only after it is ordered again; one that had called it is not', () => {
    const stage = new Stage({ count: 2 })
    stage.announce(1)
    stage.give({ type: 'stop' })
    stage.give({ type: 'joined', key: 2 })
    stage.give({ type: 'started', key: 2, rssBytes: 40 * MB })
    stage.give({ type: 'closed', key: 1 })
    assert.deepEqual(
      stage.drained.map((each) => [each.key, each.reason]),
      [1, 2, 2].map((key) => [key, 'stop']),
    )
    assert.equal(stage.count('drain'), 2)
    stage.pass(6999)
    assert.deepEqual(stage.killed, [])
    stage.pass(1)
    assert.deepEqual(stage.killed, [1, 2])
  })

  test('with no worker alive it is finished at once', () => {
    const stage = new Stage({ count: 1 })
    stage.exit(1, 7)
    stage.give({ type: 'stop' })
    assert.equal(stage.finished, true)
    assert.equal(stage.reconciler.wakeAt, undefined)
  })
})

describe('a worker whose channel has closed', () => {
  const crashes = (stage: Stage) => stage.news.filter((news) => news.name === 'crash')

  test('and that exits is a crash like any other: one event, with its code, and one fork', () => {
    const stage = new Stage().settled()
    stage.give({ type: 'disconnected', key: 2 })
    stage.pass(DISCONNECT_GRACE_MS - 1)
    assert.equal(stage.forked.length, 3)
    stage.exit(2, 7)
    stage.pass(60_000)
    assert.deepEqual(
      crashes(stage).map(({ cause, code }) => [cause, code]),
      [['exit', 7]],
    )
    assert.deepEqual(stage.forked, [1, 2, 3, 4])
  })

  test('and that lives on is lost: its place is filled, it may finish, and then gets SIGKILL', () => {
    const stage = new Stage({ killTimeoutMs: 20_000 }).settled()
    stage.give({ type: 'disconnected', key: 2 })
    stage.pass(DISCONNECT_GRACE_MS)
    assert.deepEqual(stage.forked, [1, 2, 3, 4])
    assert.deepEqual(stage.states(), ['1 ready', '2 leaving', '3 ready', '4 starting'])
    assert.deepEqual(
      crashes(stage).map(({ cause, code }) => [cause, code]),
      [['disconnect', null]],
    )
    stage.pass(20_000 + KILL_GRACE_MS - 1)
    assert.deepEqual(stage.killed, [])
    stage.pass(1)
    assert.deepEqual(stage.killed, [2])
    stage.exit(2, null, 'SIGKILL')
    stage.announce(4)
    stage.pass(60_000)
    assert.deepEqual([stage.forked.length, crashes(stage).length, stage.states().length], [4, 1, 3])
  })

  test('and that was ordered to drain is on its way as ordered', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.announce(4)
    stage.give({ type: 'disconnected', key: 2 })
    stage.pass(DISCONNECT_GRACE_MS)
    stage.exit(2)
    assert.deepEqual([crashes(stage), stage.forked, stage.count('recycled')], [[], [1, 2, 3, 4], 1])
  })

  test('in the very moment in which it is to be replaced is ended by its deadline, and reported as recycled', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.give({ type: 'disconnected', key: 2 })
    stage.announce(4)
    stage.pass(SETTLED_BY_MS)
    assert.deepEqual([stage.killed, crashes(stage)], [[2], []])
    stage.exit(2, null, 'SIGKILL')
    assert.deepEqual([stage.count('recycled'), stage.forked], [1, [1, 2, 3, 4]])
  })

  test('gives its place to the replacement that is on its way for it', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.give({ type: 'disconnected', key: 2 })
    stage.pass(DISCONNECT_GRACE_MS)
    assert.deepEqual(stage.forked, [1, 2, 3, 4])
    stage.announce(4)
    stage.exit(2)
    stage.pass(60_000)
    assert.deepEqual(stage.states(), ['1 ready', '3 ready', '4 ready'])
  })

  test('as a replacement that starts is one that failed; the old worker serves on', () => {
    const stage = new Stage().settled()
    stage.over(2)
    stage.give({ type: 'disconnected', key: 4 })
    stage.pass(DISCONNECT_GRACE_MS)
    assert.deepEqual(stage.states().slice(0, 3), ['1 ready', '2 ready', '3 ready'])
    assert.deepEqual(stage.drained, [])
  })

  test('is ignored when it is unknown', () => {
    const stage = new Stage().settled()
    stage.give({ type: 'disconnected', key: 99 })
    stage.pass(60_000)
    assert.deepEqual([stage.forked.length, crashes(stage)], [3, []])
  })
})
