/** Longest name of a property that is taken for a programmer's, characters. */
const LONGEST_NAME = 80
/** A name with this many digits is an account number, a date or an identifier of data. */
const MOST_DIGITS = 5

/** The nodes for values have these names in every snapshot; the rest of their names is content. */
const FIXED = new Set([
  ...['symbol', 'bigint', 'heap number', 'number', 'smi number', 'int', 'double'],
  ...['(concatenated string)', '(sliced string)', 'concatenated string', 'sliced string'],
])

/** Between the key and the value of such a name stands only this; both can contain anything. */
const WEAK_PAIR = ') -> value ('
const WEAK_KEY = /^(\d+) \/ part of key \([^]* (@\d+)$/
const WEAK_VALUE = / (@\d+)\) pair in WeakMap \((table @\d+)\)$/

/** Whether V8 gives this name to all values of a type. */
export function isFixedName(text: string): boolean {
  return FIXED.has(text)
}

/**
 * Whether a property's name looks like one that a programmer wrote. A small object that is used as a map has the same form in V8 as
 * an instance of a class, so its keys can only be recognised by their look: an address, a token, a date, a number.
 */
export function looksWritten(text: string): boolean {
  if (text.length > LONGEST_NAME || text.replace(/\D/g, '').length > MOST_DIGITS) return false
  const symbol = symbolIn(text)
  return symbol === undefined
    ? isIdentifier(text.replace(/^[gs]et /, ''))
    : symbol.split('.').every(isIdentifier)
}

/** Whether a property's name is that of a symbol: a programmer describes symbols, so it need not be found in a shape. */
export function isSymbolName(text: string): boolean {
  return symbolIn(text) !== undefined
}

/** V8's name of the edge to a prototype. */
export function isPrototypeName(text: string): boolean {
  return text === '__proto__'
}

/** The global object of a context. Its properties are variables of the program. */
export function isGlobalName(text: string): boolean {
  return /^(?:Object|global|Window)(?: \/ | \(|\*|$)/.test(text) && text !== 'Object'
}

/** What stays of a name that stays: no part of it that V8 or a browser composed from values. */
export function withoutContent(text: string): string {
  if (text.includes(' / part of key (')) {
    const between = text.lastIndexOf(WEAK_PAIR)
    const [, index, key] = WEAK_KEY.exec(text.slice(0, Math.max(0, between))) ?? []
    const [, value, table] = WEAK_VALUE.exec(text.slice(between)) ?? []
    if (index === undefined || value === undefined)
      return `${/^\d*/.exec(text)?.[0] ?? ''} / part of key (redacted)`
    return `${index} / part of key (redacted ${key}) -> value (redacted ${value}) pair in WeakMap (${table})`
  }
  if (/^\s*data:/i.test(text)) return 'data:(redacted)'
  // The attributes of an element in a snapshot of a browser.
  if (/^<\S+\s/.test(text) && symbolIn(text) === undefined) return `${/^<\S+/.exec(text)?.[0] ?? ''}>`
  return text.includes('://')
    ? text.replace(/[?#][^]*$/, '').replace(/:\/\/[^/\s]+@/g, '://(redacted)@')
    : text
}

function symbolIn(text: string): string | undefined {
  return /^<symbol ([^]*)>$/.exec(text)?.[1]
}

function isIdentifier(text: string): boolean {
  return /^#?[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(text)
}
