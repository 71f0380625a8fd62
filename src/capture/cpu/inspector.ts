import type { Profiler, Session } from 'node:inspector'
import type { CpuProfileRequest, CpuWay, RunningProfile, StoppedProfile } from './way'
import { forgetOptimizedCode } from './forget-optimized-code'
import type { MainThread } from '../main-thread/orders'
import { waitPatiently, type Patience } from '../main-thread/patient'
import { profileJson } from './profile-json'
import { monotonicMs } from '../../base/clock'
import { Promise } from '../../base/globals'

/** Name in the `.json` and in the start line. */
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
        return await startProfile(session, request, patience, mainThread.orderNow !== undefined)
      } catch (error) {
        session.disconnect()
        throw error
      }
    },
  }
}

/**
 * The calls go out together: a busy main thread is interrupted once, not once per call.
 *
 * @param isLocal - The session is to this thread, where calls are answered before `post` returns.
 */
async function startProfile(
  session: Session,
  { samplingIntervalUs, early }: CpuProfileRequest,
  patience: Patience,
  isLocal: boolean,
): Promise<RunningProfile> {
  const interval = { interval: samplingIntervalUs }
  const calls = Promise.all([
    call((done) => session.post('Profiler.enable', done)),
    call((done) => session.post('Profiler.setSamplingInterval', interval, done)),
    call((done) => session.post('Profiler.start', done)),
    // If this fails, the profile is still useful.
    ...forgetOptimizedCode((method) => call((done) => session.post(method, () => done(null)))),
  ])
  const [enabled, , , , ready] = await waitPatiently('Profiler.start', calls, patience, early)
  return {
    startPauseMs: ready.answeredAtMs - enabled.answeredAtMs,
    acceptedAfterMs: enabled.answeredAtMs - enabled.askedAtMs,
    async stop() {
      const stopping = postStop(session)
      try {
        await waitPatiently('Profiler.stop', stopping.answered, patience)
        return stopping.profile()
      } finally {
        session.disconnect()
      }
    },
    stopNow: isLocal ? () => stopWithin(session) : undefined,
  }
}

function stopWithin(session: Session): StoppedProfile {
  try {
    const stopping = postStop(session)
    stopping.answered.catch(() => undefined)
    return stopping.profile()
  } finally {
    session.disconnect()
  }
}

/**
 * The repeated `enable` does nothing: its answer marks the moment when the main thread accepted the order, so that the time
 * before it is not counted as a pause.
 */
function postStop(session: Session): { answered: Promise<void>; profile: () => StoppedProfile } {
  let [failure, profile]: [Error | null, Profiler.Profile | undefined] = [null, undefined]
  let [takenAtMs, stoppedAtMs] = [0, 0]
  const answered = new Promise<void>((resolve, reject) => {
    session.post('Profiler.enable', () => (takenAtMs = monotonicMs()))
    session.post('Profiler.stop', (error, answer) => {
      stoppedAtMs = monotonicMs()
      failure = error
      profile = answer?.profile
      if (error) reject(error)
      else resolve()
    })
  })
  return {
    answered,
    profile() {
      if (!profile) throw failure ?? new Error('Profiler.stop gave no profile')
      return { stopPauseMs: stoppedAtMs - takenAtMs, pieces: profileJson(profile) }
    },
  }
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
