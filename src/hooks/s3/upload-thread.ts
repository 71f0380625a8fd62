import { parentPort, workerData } from 'node:worker_threads'
import { AbortController } from '../../base/globals'
import { type RoundEnd, type RoundNews, type RoundOrder, runRound } from './round'

/** Entry point of the upload thread: runs one upload round and posts its result. Its parent thread then terminates it. */
function main(): void {
  // The listener keeps this thread alive, but not the process. The unref'd timers of this library keep neither alive.
  parentPort?.on('message', () => undefined)
  // Discard output: for a warning that the SDK prints, Node.js refs the thread's port, which keeps the process alive.
  for (const stream of [process.stdout, process.stderr]) stream.write = () => true
  const tell = (message: RoundNews | RoundEnd): void => parentPort?.postMessage(message)
  void runRound(workerData as RoundOrder, tell, new AbortController().signal).then(tell)
}

main()
