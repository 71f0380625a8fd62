/** Secrets as text, by the place in the heap where the program puts them. */
export declare function secrets(): Record<'planted' | 'unseen', Record<string, readonly string[]>>
