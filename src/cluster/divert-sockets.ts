import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'

/**
 * Wraps the `send` of a draining worker in the primary: a socket that the application sends to this worker goes, with its
 * message, to another worker. A message without a socket still goes to this worker, and so does a socket when there is no
 * other worker.
 *
 * @param other - Returns the worker that gets the socket; `undefined` when there is no other worker.
 */
export function divertSockets(worker: ChildProcess, other: () => ChildProcess | undefined): void {
  const sendToWorker = worker.send.bind(worker) as Send
  worker.send = (...args: unknown[]): boolean => {
    const target = args[1] instanceof Socket ? other() : undefined
    return target ? (target.send.bind(target) as Send)(...args) : sendToWorker(...args)
  }
}

type Send = (...args: unknown[]) => boolean
