/** A budget of dumps: at most `tokensPerInterval` dumps per `intervalMs`. */
export interface Budget {
  readonly tokensPerInterval: number
  readonly intervalMs: number
}
