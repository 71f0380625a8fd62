import { StringDecoder } from 'node:string_decoder'
import { setImmediate as turn } from 'node:timers/promises'
import type { Content } from './content'
import { checkContent, eachChunk } from './content'
import type { Heap } from './toolkit'
import { buildHeap, createLoader } from './toolkit'

export interface Loading extends Content {
  readonly onProgress: (text: string) => void
  /** Resolves when another process has checked the content. @default it is checked here, before it is loaded */
  readonly checked?: Promise<void>
}

/**
 * Loads and analyses a heap snapshot.
 *
 * @throws UnreadableError for a file that is no whole snapshot.
 */
export async function loadHeap({ onProgress, checked, ...content }: Loading): Promise<Heap> {
  if (checked === undefined) await checkContent(content)
  const loader = createLoader(onProgress)
  const decoder = new StringDecoder('utf8')
  // Rejections are handled below, when the whole file has been given to the loader.
  loader.parsingComplete.catch(() => undefined)
  await eachChunk(content, async (chunk) => {
    loader.write(decoder.write(chunk))
    // The loader takes each chunk in a later turn of the loop; without the wait it would hold the whole file.
    await turn()
  })
  loader.close()
  await loader.parsingComplete
  // The analysis trusts every number.
  await checked
  return buildHeap(loader)
}
