import { StringDecoder } from 'node:string_decoder'
import { setImmediate as turn } from 'node:timers/promises'
import type { Content } from './content'
import { checkContent, eachChunk } from './content'
import type { Heap } from './toolkit'
import { buildHeap, createLoader } from './toolkit'

export interface Loading extends Content {
  readonly onProgress: (text: string) => void
  /** Resolves when another process has checked the content. @default this process checks the content before it loads it */
  readonly checked?: Promise<void>
}

/**
 * Loads a heap snapshot, and computes the retained size and the dominator of each object.
 *
 * @throws UnreadableError for a file that is no whole snapshot.
 */
export async function loadHeap({ onProgress, checked, ...content }: Loading): Promise<Heap> {
  if (checked === undefined) await checkContent(content)
  const loader = createLoader(onProgress)
  const decoder = new StringDecoder('utf8')
  // Prevents an unhandled rejection: the promise is awaited only after the whole file has been passed to the loader.
  loader.parsingComplete.catch(() => undefined)
  await eachChunk(content, async (chunk) => {
    loader.write(decoder.write(chunk))
    // Waits for the next turn of the event loop, in which the loader parses the chunk. Else chunks would pile up in memory.
    await turn()
  })
  loader.close()
  await loader.parsingComplete
  // The analysis trusts every number of the file, so it starts only after the check.
  await checked
  return buildHeap(loader)
}
