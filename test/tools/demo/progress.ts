const SECONDS_BETWEEN_PLAIN_LINES = 5

/** Where progress is written: `process.stdout` fits. */
export interface Paper {
  readonly isTTY?: boolean
  write(text: string): unknown
}

export interface Progress {
  /** How far things are: on a terminal one line that is written over again and again, elsewhere a line now and then. */
  readonly update: (second: number, text: string) => void
  /** A line that stays. */
  readonly say: (line: string) => void
}

export function createProgress(paper: Paper): Progress {
  const beginning = paper.isTTY ? '\r\u001b[K' : ''
  let saidAtSecond = -Infinity

  return {
    update(second, text) {
      if (paper.isTTY) paper.write(beginning + text)
      else if (second - saidAtSecond >= SECONDS_BETWEEN_PLAIN_LINES) {
        saidAtSecond = second
        paper.write(`${text}\n`)
      }
    },
    say: (line) => void paper.write(`${beginning}${line}\n`),
  }
}
