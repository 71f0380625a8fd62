import type { Profiler, Session } from 'node:inspector'
import type { CpuProfileRequest, CpuWay, RunningProfile } from './cpu-way'
import { forgetOptimizedCode } from './forget-optimized-code'
import type { MainThread } from './main-thread'
import { operate, type Steps } from '../files/step'
import { waitPatiently, type Patience } from './patience'
import { profileJson } from './profile-json'
import { monotonicMs } from '../time/clock'
import { Promise } from '../time/globals'

/** As it stands in the `.json` and in the start line. */
export const INSPECTOR_WAY = 'inspector'

/**
 * CPU profiles by V8's own profiler, over an inspector session of our own.
 *
 * Profiles belong to sessions: one that another session (DevTools, an agent) records at the same time is not touched, and
 * keeps its own sampling interval. What is shared is coverage: ending any session's profiler ends V8's precise coverage for
 * the whole isolate (microsoft/vscode#330740). The Debugger domain is never enabled. The session is disconnected after each
 * profile, because an open one from another thread makes the process print "Waiting for the debugger to disconnect" at exit.
 */
export function createInspectorWay(mainThread: MainThread, patience: Patience): CpuWay {
  return {
    name: INSPECTOR_WAY,
    async start(request) {
      const session = mainThread.connect()
      try {
        return await startProfile(session, request, patience)
      } catch (error) {
        session.disconnect()
        throw error
      }
    },
  }
}

/** The calls go out together: a busy main thread is interrupted once, not once per call. */
async function startProfile(
  session: Session,
  { samplingIntervalUs, early }: CpuProfileRequest,
  patience: Patience,
): Promise<RunningProfile> {
  const interval = { interval: samplingIntervalUs }
  const calls = Promise.all([
    call((done) => session.post('Profiler.enable', done)),
    call((done) => session.post('Profiler.setSamplingInterval', interval, done)),
    call((done) => session.post('Profiler.start', done)),
    // Should it fail, the profile is still worth having.
    ...forgetOptimizedCode((method) => call((done) => session.post(method, () => done(null)))),
  ])
  const [enabled, , , , ready] = await waitPatiently('Profiler.start', calls, patience, early)
  return {
    startPauseMs: ready.answeredAtMs - enabled.answeredAtMs,
    acceptedAfterMs: enabled.answeredAtMs - enabled.askedAtMs,
    *stop(open) {
      try {
        const { profile, stopPauseMs } = yield* stopProfile(session, patience)
        for (const piece of profileJson(profile)) yield* open.writing(piece)
        return { stopPauseMs }
      } finally {
        session.disconnect()
      }
    },
  }
}

/** The repeated `enable` does nothing: its answer tells when the main thread took the order, so that waiting is no pause. */
function* stopProfile(
  session: Session,
  patience: Patience,
): Steps<{ profile: Profiler.Profile; stopPauseMs: number }> {
  let profile: Profiler.Profile | undefined
  let takenAtMs = 0
  let stoppedAtMs = 0
  const stopped = new Promise<void>((resolve, reject) => {
    session.post('Profiler.enable', () => (takenAtMs = monotonicMs()))
    session.post('Profiler.stop', (error, answer) => {
      stoppedAtMs = monotonicMs()
      profile = answer?.profile
      if (error) reject(error)
      else resolve()
    })
  })
  stopped.catch(() => undefined)
  yield* operate<void>({
    // On the session's own thread the answers came before `post` returned.
    sync: () => undefined,
    async: () => waitPatiently('Profiler.stop', stopped, patience),
  })
  if (!profile) throw new Error('Profiler.stop gave no profile')
  return { profile, stopPauseMs: stoppedAtMs - takenAtMs }
}

interface Call {
  readonly askedAtMs: number
  readonly answeredAtMs: number
}

/** One inspector call as a promise. On the session's own thread the answer comes before `post` returns. */
function call(post: (done: (error: Error | null) => void) => void): Promise<Call> {
  const askedAtMs = monotonicMs()
  return new Promise((resolve, reject) => {
    post((error) => {
      if (error) reject(error)
      else resolve({ askedAtMs, answeredAtMs: monotonicMs() })
    })
  })
}
