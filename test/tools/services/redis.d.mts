export interface RunningRedis {
  readonly port: number
  readonly url: string
  kill(signal: NodeJS.Signals): boolean
  /** The server's answer to one command, as it is on the wire. */
  ask(...words: string[]): Promise<string>
  /** Resolves when it has ended. Idempotent. */
  stop(): Promise<void>
}

/** Why no Redis can be started here. */
export function whyNoRedis(): string | undefined

/** `port`: where an earlier one was; `args`: further settings. */
export function startRedis(options?: { port?: number; args?: readonly string[] }): Promise<RunningRedis>
