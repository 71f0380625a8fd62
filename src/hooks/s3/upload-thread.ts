import { parentPort, workerData } from 'node:worker_threads'
import { AbortController } from '../../base/globals'
import { type RoundEnd, type RoundNews, type RoundOrder, runRound } from './round'

/** Entry of the thread that sends. It lives for one round, and is ended from outside. */
function main(): void {
  // Keeps the thread, but not the process: timers of this library keep neither.
  parentPort?.on('message', () => undefined)
  // A warning that the SDK prints would hold the process: Node.js refs the thread's port for it.
  for (const stream of [process.stdout, process.stderr]) stream.write = () => true
  const tell = (message: RoundNews | RoundEnd): void => parentPort?.postMessage(message)
  void runRound(workerData as RoundOrder, tell, new AbortController().signal).then(tell)
}

main()
