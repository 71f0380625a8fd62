import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { openFleet, redisBudget } from '../../../dist/hooks/redis/index.js'
import { CLIENTS } from '../../../dist/hooks/redis/options.js'
import { PATIENT } from './redis-server'

/** A server before Redis 6, or one whose AUTH has another name: it repeats the arguments of what it does not know. */
async function repeatingServer(t: TestContext, repeat: (words: readonly string[]) => string) {
  const received: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    socket.on('data', (data) => {
      received.push(String(data))
      const commands = String(data)
        .split(/^\*\d+\r\n/m)
        .slice(1)
      for (const command of commands) {
        const words = command.split('\r\n').filter((word) => word !== '' && !/^\$\d+$/.test(word))
        socket.write(`-ERR ${repeat(words)}\r\n`)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, received }
}

async function told(port: number, client: (typeof CLIENTS)[number], login: string): Promise<string> {
  const lines: string[] = []
  const report = {
    failure: ({ message }: { message: string }) => lines.push(message),
    notice: (line: string) => lines.push(line),
  }
  const url = `redis://${login}127.0.0.1:${port}`
  const plan = redisBudget({ ...PATIENT, url, service: 'shop', client })
  await openFleet(structuredClone(plan.settings), report).take('cpu')
  return lines.join()
}

describe('the login of Redis', () => {
  for (const client of CLIENTS) {
    it(`is in no line, whatever the server repeats to ${client}`, async (t) => {
      for (const repeat of [
        ([name, ...rest]: readonly string[]) =>
          `unknown command \`${name}\`, with args beginning with: ${rest.map((word) => `\`${word}\`, `).join('')}`,
        (words: readonly string[]) => `I do not know ${words.join(' ')}`,
      ]) {
        const { port, received } = await repeatingServer(t, repeat)
        const line = await told(port, client, 'operator:to%2Fpsecret-pw@')
        assert.ok(received.join('').includes('to/psecret-pw'), 'the client has sent it')
        assert.match(line, /cannot be used: .*ERR/)
        assert.doesNotMatch(line, /operator|to\/ps|to%2Fps|secret/)
      }
    })

    it(`leaves the text of an error to ${client} as it is without one`, async (t) => {
      const { port } = await repeatingServer(t, () => 'this is for the operator')
      assert.match(await told(port, client, ''), /cannot be used: .*ERR this is for the operator/)
    })
  }
})
