import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'

/**
 * From now on a socket that the application's code in the primary sends to this worker goes to another one, in the same
 * call. When there is no other, or the message carries no socket, the worker gets it as before.
 */
export function divertSockets(worker: ChildProcess, other: () => ChildProcess | undefined): void {
  const sendToWorker = worker.send.bind(worker) as Send
  worker.send = (...args: unknown[]): boolean => {
    const target = args[1] instanceof Socket ? other() : undefined
    return target ? (target.send.bind(target) as Send)(...args) : sendToWorker(...args)
  }
}

type Send = (...args: unknown[]) => boolean
