import { Promise } from '../../base/globals'
import { clearTimeout, setTimeout } from '../../base/time'
import type { Failure } from '../../dispatch/events'
import type { Surroundings } from '../../report/on-dump'
import type { Done, RoundEnd, RoundNews, RoundOrder } from './round'
import type { Round } from './rounds'
import { delayMs, type Verdict } from './verdict'

/** Time from the start to the first search for files left by earlier processes, ms. A short-lived process ends before it. */
export const FIRST_LOOK_MS = 5000
/** Time until the next upload round after one that found another process uploading from a directory, ms. */
export const BUSY_DELAY_MS = 5000
/** Longest time that the monitor's `stop()` waits for the upload of a dump, ms. Kubernetes sends SIGKILL 30 s after SIGTERM. */
export const LONGEST_WAIT_MS = 20_000

/** Number of files of this process's own dumps that are remembered, the newest ones. Dumps are rare: this many take months. */
export const MOST_OWN_FILES = 1000

export interface UploaderParts {
  readonly startRound: (
    order: Pick<RoundOrder, 'directories' | 'done' | 'last' | 'own'>,
    tell: (news: RoundNews) => void,
    onNoThread: (why: string) => void,
  ) => Round
  readonly random: () => number
}

type Report = Surroundings['report']

/**
 * Decides when to upload: after each dump, soon after the start, and again some time after a failure. Each upload round finds the
 * files itself in the directories. This class remembers only what the directories do not show, such as which files must not be
 * sent.
 */
export class Uploader {
  readonly #parts: UploaderParts
  readonly #directories = new Set<string>()
  #report: Report
  #users = 0
  #round: Round | undefined
  /** Whether another round must follow, because a file may have been added since the current round began. */
  #isWanted = false
  #timer: NodeJS.Timeout | undefined
  /** Number of upload rounds that failed in a row. */
  #failures = 0
  /** Kinds of failure that were already reported since the last success. */
  readonly #reported = new Set<Verdict['kind']>()
  #hasReportedNoThread = false
  readonly #done = new Map<string, Done>()
  /** Full paths of files at which rounds failed. They are sent last, because one may have caused the failure. */
  readonly #last = new Set<string>()
  /** Full paths of the files of this process's own dumps, the newest last. Files that were sent may still be among them. */
  readonly #own = new Set<string>()
  /** Files whose failure was reported, and directories whose list of sent files cannot be written. Each is reported once. */
  readonly #told = new Set<string>()
  /** Directories that the current round could not read to the end. */
  readonly #unreadNow = new Set<string>()
  /** Directories that were reported because a round could not read them to the end. Removed when a round can. */
  readonly #reportedUnread = new Set<string>()
  #onSettled: (() => void)[] = []

  /** @param report - Logger to use before a monitor passes its own to {@link begin}. */
  constructor(parts: UploaderParts, report: Report) {
    this.#parts = parts
    this.#report = report
  }

  /** Starts uploads for a monitor. @returns A function to call when that monitor stops; the last call ends the uploads. */
  begin({ directories, report }: Surroundings): () => void {
    this.#report = report
    this.#users += 1
    for (const directory of directories) this.#directories.add(directory)
    this.#later(FIRST_LOOK_MS)
    return () => {
      this.#users -= 1
      if (this.#users === 0) this.#end()
    }
  }

  /**
   * Starts an upload of the files in a directory, or leaves them to the next attempt if uploads fail. Never rejects.
   *
   * @param files - Full paths of the new dump's files in this directory.
   * @returns Resolves when they are sent, when they cannot be sent now, or after {@link LONGEST_WAIT_MS}.
   */
  send(directory: string, files: readonly string[] = []): Promise<void> {
    this.#directories.add(directory)
    for (const file of files) this.#own.add(file)
    for (const file of [...this.#own].slice(0, -MOST_OWN_FILES)) this.#own.delete(file)
    if (this.#failures > 0 && (this.#round || this.#timer)) {
      // The next attempt is already planned or running. A running one may have listed the directory before the file was in it.
      this.#isWanted = true
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LONGEST_WAIT_MS).unref()
      this.#onSettled.push(() => {
        clearTimeout(timer)
        resolve()
      })
      this.#start()
    })
  }

  #start(): void {
    this.#isWanted = this.#round !== undefined
    if (this.#round) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#unreadNow.clear()
    const round = this.#parts.startRound(
      { directories: [...this.#directories], done: this.#done, last: this.#last, own: new Set(this.#own) },
      (news) => this.#tell(news),
      (why) => this.#noThread(why),
    )
    this.#round = round
    void round.ended.then((end) => {
      if (this.#round !== round) return
      this.#round = undefined
      // A directory that this round could read to its end is reported again when that fails anew. A round that failed shows
      // nothing: it may not have looked at all directories.
      for (const directory of this.#reportedUnread)
        if (end.type !== 'failed' && !this.#unreadNow.has(directory)) this.#reportedUnread.delete(directory)
      this.#ended(end)
    })
  }

  #ended(end: RoundEnd): void {
    if (end.type === 'failed') {
      if (end.file !== undefined) this.#last.add(end.file)
      return this.#failed(end.verdict)
    }
    // Only an answer of S3 shows that it is back. A round in which no file waited, or another process sent all, shows nothing.
    if (end.hasAnswered) this.#recover()
    if (this.#isWanted) return this.#start()
    if (end.type === 'busy') return this.#later(BUSY_DELAY_MS)
    this.#settle()
  }

  #recover(): void {
    if (this.#failures > 0) this.#report.info('uploads to S3 succeed again')
    this.#failures = 0
    this.#reported.clear()
    this.#last.clear()
  }

  /** Reports a failed round, once per kind of failure until S3 answers again, and plans the next attempt. */
  #failed({ kind, message }: Verdict): void {
    this.#failures += 1
    const delay = delayMs(this.#failures, this.#parts.random())
    if (!this.#reported.has(kind))
      this.#fail(`${message}; the upload is tried again, and unsent dumps stay on disk`)
    this.#reported.add(kind)
    this.#settle()
    this.#later(delay)
  }

  #later(delay: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#start()
    }, delay).unref()
  }

  #settle(): void {
    for (const onSettled of this.#onSettled.splice(0)) onSettled()
  }

  #tell(news: RoundNews): void {
    if (news.type === 'sent') return this.#report.info(news.line)
    if (news.type === 'lost') return this.#fail(news.message)
    if (news.type === 'incomplete') {
      this.#unreadNow.add(news.directory)
      if (!this.#reportedUnread.has(news.directory)) this.#fail(news.message)
      this.#reportedUnread.add(news.directory)
      return
    }
    if (news.type !== 'failing') this.#done.set(news.file, news.type)
    const what = news.type === 'unlisted' ? news.directory : news.file
    if (this.#told.has(what)) return
    this.#told.add(what)
    this.#fail(news.message)
  }

  #noThread(why: string): void {
    if (!this.#hasReportedNoThread)
      this.#report.info(
        `dumps are sent from the main thread, because no upload thread can be started: ${why}`,
      )
    this.#hasReportedNoThread = true
  }

  #fail(message: string): void {
    this.#report.failure({ stage: 'upload', message } satisfies Failure)
  }

  #end(): void {
    clearTimeout(this.#timer)
    this.#directories.clear()
    this.#round?.stop()
    this.#round = undefined
    this.#settle()
  }
}
