import { fork } from 'node:child_process'
import { once } from 'node:events'
import { extname, join } from 'node:path'

const ENDING_MS = 10_000

/** What the shop tells, by name. */
interface News {
  readonly listening: { readonly port: number }
  /** A line of the monitor's log. */
  readonly line: string
  readonly dump: { readonly file: string }
}

type Message = {
  readonly [Name in keyof News]: { readonly name: Name; readonly event: News[Name] }
}[keyof News]

/** The shop, in a process of its own, so that the evidence shows nothing but the shop. */
export interface ShopProcess {
  /** Resolves to its port. Like all that one can wait for here, rejects if the shop ends. */
  port(): Promise<number>
  /** Resolves to the first file with this extension that the monitor in the shop has written, before or after the call. */
  evidence(extension: string): Promise<string>
  /** Asks it to close, and ends it by force if it does not. */
  close(): Promise<void>
  kill(): void
}

/** @param onLine - Called with each line of the monitor in the shop. */
export function openShop(folder: string, onLine: (line: string) => void): ShopProcess {
  const child = fork(join(__dirname, 'shop.js'), [folder], { execArgv: [] })
  const messages: Message[] = []
  child.on('message', (message: Message) => {
    messages.push(message)
    if (message.name === 'line') onLine(message.event)
  })
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const endedEarly = ended.then(([exitCode, signal]) => {
    throw new Error(`the shop ended early: ${signal ?? `exit code ${exitCode}`}`)
  })
  endedEarly.catch(() => undefined) // Nobody may be waiting when it ends.

  function first<T>(pick: (message: Message) => T | undefined): Promise<T> {
    const told = new Promise<T>((resolve) => {
      const look = (message: Message) => {
        const picked = pick(message)
        if (picked !== undefined) resolve(picked)
      }
      messages.forEach(look)
      child.on('message', look)
    })
    return Promise.race([told, endedEarly])
  }

  return {
    port: () => first((message) => (message.name === 'listening' ? message.event.port : undefined)),
    evidence: (extension) =>
      first((message) =>
        message.name === 'dump' && extname(message.event.file) === extension ? message.event.file : undefined,
      ),
    async close() {
      const timer = setTimeout(() => child.kill('SIGKILL'), ENDING_MS)
      if (child.connected) child.send('close')
      await ended
      clearTimeout(timer)
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
