import { Agent, get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

const VISITORS = 2
const CALM_PAUSE_MS = 20
const BUSY_PAUSE_MS = 2
const ANSWER_TIMEOUT_MS = 60_000

/** The demo's own client. */
export interface Visitors {
  /** From now on everybody asks for this page. */
  want(path: string): void
  /** How many pages they got. */
  pagesServed(): number
  /** Resolves when the last one has left. */
  leave(): Promise<void>
}

/** Visitors who ask for a page again and again, over loopback, each of them the next as soon as the last one has come. */
export function sendVisitors(port: number): Visitors {
  const agent = new Agent({ keepAlive: true })
  let wanted = '/'
  let gone = false
  let served = 0

  async function visitOnAndOn(): Promise<void> {
    while (!gone) {
      const isServed = await visit(agent, port, wanted)
      if (isServed) served++
      await pause(isServed && wanted !== '/' ? BUSY_PAUSE_MS : CALM_PAUSE_MS)
    }
  }

  const finished = Promise.all(Array.from({ length: VISITORS }, visitOnAndOn))
  return {
    want: (path) => void (wanted = path),
    pagesServed: () => served,
    async leave() {
      gone = true
      await finished
      agent.destroy()
    },
  }
}

/** Resolves to whether the page came; it does not while the shop ends. */
function visit(agent: Agent, port: number, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ agent, host: '127.0.0.1', port, path }, (response) => {
      response.resume().once('close', () => resolve(response.complete))
    })
    request.setTimeout(ANSWER_TIMEOUT_MS, () => request.destroy())
    request.once('error', () => resolve(false))
  })
}
