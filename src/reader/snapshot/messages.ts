import type { Input } from '../input'
import type { Part } from '../model'

/** The request to the child that analyses, and then the word that the reader has checked what the child has loaded meanwhile. */
export type Message = Question | { readonly type: 'checked' }

export interface Question {
  readonly type: 'question'
  readonly inputs: readonly Input[]
  readonly sourceMaps?: string
}

/** Its answers: progress any number of times, then one result or one failure. */
export type Answer =
  | { readonly type: 'progress'; readonly text: string }
  | { readonly type: 'result'; readonly parts: readonly Part[]; readonly notes: readonly string[] }
  | { readonly type: 'failure'; readonly message: string; readonly isExpected: boolean }
