import { Agent, get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

const SHARE_OF_SLOW_PAGES = 0.1
const LONGEST_PAUSE_MS = 60
const ANSWER_TIMEOUT_MS = 10_000

export interface Customers {
  answered(): number
  /** What became of requests that were not answered in full, with how often. Empty when all were. */
  failures(): ReadonlyMap<string, number>
  /** Resolves when the last one has left. */
  leave(): Promise<void>
}

/** Customers with one keep-alive connection each, who ask on and on and forgive nothing: no request is sent twice. */
export function sendCustomers(port: number, count: number): Customers {
  const failures = new Map<string, number>()
  let answered = 0
  let isOver = false

  async function shop(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (!isOver) {
      const problem = await ask(agent, port, Math.random() < SHARE_OF_SLOW_PAGES ? '/report' : '/page')
      if (problem === undefined) answered += 1
      else failures.set(problem, (failures.get(problem) ?? 0) + 1)
      await pause(Math.random() * LONGEST_PAUSE_MS)
    }
    agent.destroy()
  }

  const all = Promise.all(Array.from({ length: count }, shop))
  return {
    answered: () => answered,
    failures: () => failures,
    async leave() {
      isOver = true
      await all
    },
  }
}

/** Resolves to what went wrong, if anything did. */
function ask(agent: Agent, port: number, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get({ agent, host: '127.0.0.1', port, path }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.once('error', (error) => resolve(error.message))
      response.once('end', () => {
        const isWhole = response.complete && response.statusCode === 200 && `/${body}` === path
        resolve(isWhole ? undefined : `answer ${response.statusCode} "${body}"`)
      })
    })
    request.setTimeout(ANSWER_TIMEOUT_MS, () => request.destroy(new Error('no answer')))
    request.once('error', (error) => resolve(error.message))
  })
}
