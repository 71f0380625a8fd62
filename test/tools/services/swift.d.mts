interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface Swift {
  readonly endpoint: string
  start(): Promise<void>
  kill(): Promise<void>
  stop(): Promise<void>
}

export const CREDENTIALS: Credentials
export const POWERLESS: Credentials
export function whyNoSwift(): string | undefined
export function startSwift(): Promise<Swift>
