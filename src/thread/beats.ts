import { createRequire } from 'node:module'
import { BEAT_MS } from './beat-watch'
import { Atomics } from '../base/globals'
import { clearTimeout, setTimeout } from '../base/timers'

const BEATS = 0
const DEBUGGER = 1

/** Bytes of shared memory that beats need. */
export const BEATS_BYTES = 8

/** What the main thread tells the watchdog of itself, through shared memory: neither side ever waits for the other. */
export class Beats {
  readonly #words: Int32Array

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 2)
  }

  get count(): number {
    return Atomics.load(this.#words, BEATS)
  }

  /** A debugger could attach to the main thread. `inspector.url()` is undefined in worker threads, so the beat tells. */
  get isDebuggerPossible(): boolean {
    return Atomics.load(this.#words, DEBUGGER) === 1
  }

  /**
   * Beats from the main thread's event loop, from its first turn on.
   *
   * @param onBeat - Called with each beat. Must not throw.
   * @returns Stops the beats.
   */
  start(onBeat: () => void = () => undefined): () => void {
    const inspector = loadInspector()
    let timer: NodeJS.Timeout
    const beat = () => {
      Atomics.store(this.#words, DEBUGGER, inspector.url() === undefined ? 0 : 1)
      Atomics.add(this.#words, BEATS, 1)
      onBeat()
      timer = setTimeout(beat, BEAT_MS)
      timer.unref()
    }
    timer = setTimeout(beat, 0)
    timer.unref()
    return () => clearTimeout(timer)
  }
}

/** Not imported: a Node built without the inspector has no such module, and the import would end the application. */
function loadInspector(): { url(): string | undefined } {
  return createRequire(__filename)('node:inspector') as { url(): string | undefined }
}
