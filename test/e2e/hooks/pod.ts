import { resolve } from 'node:path'
import type { TestContext } from 'node:test'
import type { Dump, Failure, Skip } from '../../../dist/dispatch/events.js'
import type { RedisOptions } from '../../../dist/hooks/redis/options.js'
import { coverTheThread } from '../../harness/cover-the-thread'
import { Program, programEnvironment } from '../../harness/program'

const PROGRAM = resolve(__dirname, 'programs/pod.js')

export interface PodOptions {
  readonly fleet?: RedisOptions
  readonly cpu?: object
  readonly watchdog?: boolean
}

/** A process of a fleet, whose files go into a directory of its own. */
export class Pod {
  readonly program: Program

  constructor(t: TestContext, options: PodOptions, way?: 'blocks' | 'ends') {
    const args = [JSON.stringify(options), ...(way ? [way] : [])]
    this.program = new Program(t, [process.execPath, ...coverTheThread, PROGRAM, ...args])
  }

  /** A process without code of its own, watched by variables. */
  static preloaded(t: TestContext, variables: NodeJS.ProcessEnv): Program {
    const register = resolve(__dirname, '../../../dist/register.js')
    const busy = 'setInterval(() => { const end = Date.now() + 10; while (Date.now() < end); }, 50)'
    const env = programEnvironment({ CMM_MEMORY: 'false', ...variables })
    return new Program(t, [process.execPath, '--require', register, '--eval', busy], { env })
  }

  get dumps(): Dump[] {
    return this.#said<Dump>('dump')
  }

  get skips(): Skip[] {
    return this.#said<Skip>('skip')
  }

  get failures(): Failure[] {
    return this.#said<Failure>('failure')
  }

  /** Lines that it logged about the budget in Redis. */
  get lines(): string[] {
    return this.#said<{ text: string }>('line')
      .map(({ text }) => text)
      .filter((text) => text.includes('budget in Redis'))
  }

  /** Resolves when it has made that many dumps. */
  dumped(count = 1): Promise<Dump> {
    return this.program.until(`${count} dumps`, () => this.dumps[count - 1])
  }

  /** Resolves when the fleet has refused a dump. */
  refused(): Promise<Skip> {
    return this.program.until('a skip', () => this.skips.find(({ reason }) => reason === 'fleet'))
  }

  #said<T>(name: string): T[] {
    return this.program.said.filter((said) => said['name'] === name) as T[]
  }
}
