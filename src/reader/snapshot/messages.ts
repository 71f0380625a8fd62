import type { Input } from '../input'
import type { Part } from '../model'

/** Messages to the child process: first the request, then `checked` when the parent has found the snapshot files to be whole. */
export type Message = Question | { readonly type: 'checked' }

export interface Question {
  readonly type: 'question'
  readonly inputs: readonly Input[]
  readonly sourceMaps?: string
}

/** Messages from the child process: progress any number of times, then one result or one failure. */
export type Answer =
  | { readonly type: 'progress'; readonly text: string }
  | { readonly type: 'result'; readonly parts: readonly Part[]; readonly notes: readonly string[] }
  | { readonly type: 'failure'; readonly message: string; readonly isExpected: boolean }
