// Records a program with `node --inspect`: node over-inspect.mjs <file> <program> <shape>. Needs the WebSocket of Node 22.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { record } from './record.mjs'

const [, , file, program, shape] = process.argv
const child = spawn(process.execPath, ['--inspect=127.0.0.1:0', program, shape, 'wait'], {
  stdio: ['ignore', 'ignore', 'pipe'],
})
process.once('exit', () => child.kill('SIGKILL'))
let address
for await (const text of child.stderr) {
  address = /ws:\S+/.exec(String(text))?.[0]
  if (address !== undefined) break
}
const socket = new globalThis.WebSocket(address)
await once(socket, 'open')
const waiting = new Map()
const listeners = new Map()
let last = 0
socket.onmessage = ({ data }) => {
  const { id, method, params, result } = JSON.parse(data)
  if (id === undefined) listeners.get(method)?.(params)
  else waiting.get(id)?.(result)
}
const send = (method, params) =>
  new Promise((resolve) => {
    waiting.set(++last, resolve)
    socket.send(JSON.stringify({ id: last, method, params }))
  })
await record({ send, on: (event, listener) => listeners.set(event, listener) }, file)
process.exit()
