// The child process that analyses heap snapshots. It has a heap limit of its own, and its parent may end it at any time.
import { UnreadableError } from '../json'
import { createLocator } from '../source-maps'
import { analyseSnapshots } from './analysis'
import type { Answer, Message, Question } from './messages'

const checked = new Promise<void>((resolve) => {
  process.on('message', (message: Message) => {
    if (message.type === 'checked') resolve()
    else void answer(message)
  })
})
// The parent closes the IPC channel when it has received the answer, or when it ends.
process.once('disconnect', () => process.exit())
// Ignores SIGINT, which a terminal sends to this process too at Ctrl-C: the parent ends this process.
process.on('SIGINT', () => undefined)

async function answer({ inputs, sourceMaps }: Question): Promise<void> {
  let last = ''
  try {
    const locator = createLocator(sourceMaps)
    const onProgress = (text: string): void => {
      if (text !== last) send({ type: 'progress', text })
      last = text
    }
    const parts = await analyseSnapshots(inputs, locator, { onProgress, checked })
    send({ type: 'result', parts, notes: locator.notes() })
  } catch (error) {
    const isExpected = error instanceof UnreadableError
    const message =
      error instanceof Error ? (isExpected ? error.message : String(error.stack)) : String(error)
    send({ type: 'failure', message, isExpected })
  }
}

function send(answer: Answer): void {
  process.send?.(answer)
}
