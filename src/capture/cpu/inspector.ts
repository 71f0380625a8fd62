import type { Profiler, Session } from 'node:inspector'
import { Promise } from '../../base/globals'
import { monotonicMs } from '../../base/time'
import type { PatientMainThread } from '../main-thread/patient'
import { busyTime } from './busy-time'
import { forgetOptimizedCode } from './forget-optimized-code'
import { profileJson } from './profile-json'
import type { CpuProfileRequest, CpuWay, RunningProfile, StoppedProfile } from './way'

/** Name of the method that takes CPU profiles through the inspector, in a dump's `.json` and in the log line at start. */
export const INSPECTOR_WAY = 'inspector'

/**
 * Takes CPU profiles with V8's own profiler, through an inspector session for each profile.
 *
 * A profile belongs to its session: a profile that another session (DevTools, an agent) records at the same time goes on,
 * with its own sampling interval. Precise coverage is shared: when the profiler of any session ends, V8 ends the
 * coverage of the whole isolate (microsoft/vscode#330740). The Debugger domain is never enabled. The session is
 * disconnected after each profile, because an open session from another thread makes the process print "Waiting for the
 * debugger to disconnect" at exit.
 */
export function createInspectorWay(mainThread: PatientMainThread): CpuWay {
  return {
    name: INSPECTOR_WAY,
    async start(request) {
      const session = mainThread.connect()
      try {
        return await startProfile(session, request, mainThread)
      } catch (error) {
        session.disconnect()
        throw error
      }
    },
  }
}

/** Starts the profile. Sends its three calls together, so that a busy main thread is interrupted only once. */
async function startProfile(
  session: Session,
  { samplingIntervalUs, early }: CpuProfileRequest,
  mainThread: PatientMainThread,
): Promise<RunningProfile> {
  const interval = { interval: samplingIntervalUs }
  const calls = Promise.all([
    call((done) => session.post('Profiler.enable', done)),
    call((done) => session.post('Profiler.setSamplingInterval', interval, done)),
    call((done) => session.post('Profiler.start', done)),
  ])
  const [enabled, , ready] = await mainThread.answer('Profiler.start', calls, { early })
  return {
    startPauseMs: ready.answeredAtMs - enabled.answeredAtMs,
    acceptedAfterMs: enabled.answeredAtMs - enabled.askedAtMs,
    async forgetOptimizedCode() {
      // The profiler is enabled already, so this call has no effect. Its answer shows when the main thread accepts the
      // calls: the pause begins then.
      const accepted = call((done) => session.post('Profiler.enable', done))
      const [, forgotten] = forgetOptimizedCode((method) => call((done) => session.post(method, done)))
      return (await forgotten).answeredAtMs - (await accepted).answeredAtMs
    },
    async stop() {
      const stopping = postStop(session)
      try {
        await mainThread.answer('Profiler.stop', stopping.answered)
        return stopping.profile()
      } finally {
        session.disconnect()
      }
    },
    // Possible only on the main thread: a session to the calling thread is answered before `post` returns.
    stopNow: mainThread.orderNow ? () => stopWithin(session) : undefined,
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
 * Stops the profile. Sends a call of `Profiler.enable` ahead, which has no effect: its answer shows when the main thread
 * accepts the calls, and so when its pause begins.
 */
function postStop(session: Session): { answered: Promise<void>; profile: () => StoppedProfile } {
  let [failure, profile]: [Error | null, Profiler.Profile | undefined] = [null, undefined]
  let [acceptedAtMs, stoppedAtMs] = [0, 0]
  const answered = new Promise<void>((resolve, reject) => {
    session.post('Profiler.enable', () => (acceptedAtMs = monotonicMs()))
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
      if (!profile) throw failure ?? new Error('the inspector answered Profiler.stop without a profile')
      const { ms: busyMs } = busyTime(profile)
      return { stopPauseMs: stoppedAtMs - acceptedAtMs, busyMs, pieces: profileJson(profile) }
    },
  }
}

interface Call {
  readonly askedAtMs: number
  readonly answeredAtMs: number
}

/** Makes one inspector call. Returns the monotonic times of the call and of its answer, ms. */
function call(post: (done: (error: Error | null) => void) => void): Promise<Call> {
  const askedAtMs = monotonicMs()
  return new Promise((resolve, reject) => {
    post((error) => {
      if (error) reject(error)
      else resolve({ askedAtMs, answeredAtMs: monotonicMs() })
    })
  })
}
