/** Maximum length of a property name that counts as written by a programmer, characters. A longer name counts as data. */
const LONGEST_NAME = 80
/** Maximum number of digits in a property name that counts as a programmer's. More digits mean data: a date, an identifier. */
const MOST_DIGITS = 5

/** Names that V8 gives to objects that hold a value, such as a number. Any other name of such an object is the value itself. */
const FIXED = new Set([
  ...['symbol', 'bigint', 'heap number', 'number', 'smi number', 'int', 'double'],
  ...['(concatenated string)', '(sliced string)', 'concatenated string', 'sliced string'],
])

/** V8 names the edge of a WeakMap entry after its key and its value, which can contain any text. This text is between the two. */
const WEAK_PAIR = ') -> value ('
const WEAK_KEY = /^(\d+) \/ part of key \([^]* (@\d+)$/
const WEAK_VALUE = / (@\d+)\) pair in WeakMap \((table @\d+)\)$/

/** Whether this is a name that V8 gives to all values of a type, so that it reveals nothing. */
export function isFixedName(text: string): boolean {
  return FIXED.has(text)
}

/**
 * Whether a property name looks like one that a programmer wrote. V8 stores a small object that is used as a map like an
 * instance of a class, so only the look of a key shows that it is data: an address, a token, a date, a number.
 */
export function looksWritten(text: string): boolean {
  if (text.length > LONGEST_NAME || text.replace(/\D/g, '').length > MOST_DIGITS) return false
  const symbol = symbolIn(text)
  return symbol === undefined
    ? isIdentifier(text.replace(/^[gs]et /, ''))
    : symbol.split('.').every(isIdentifier)
}

/**
 * Whether a property's key is a symbol. A programmer wrote the symbol's description. So redaction may keep the name even if none
 * of V8's shapes (hidden classes) lists it, unlike other property names.
 */
export function isSymbolName(text: string): boolean {
  return symbolIn(text) !== undefined
}

/** Whether this is V8's name of the edge from an object to its prototype. */
export function isPrototypeName(text: string): boolean {
  return text === '__proto__'
}

/** Whether a node with this name is a global object, whose properties are the global variables of the program. */
export function isGlobalName(text: string): boolean {
  return /^(?:Object|global|Window)(?: \/ | \(|\*|$)/.test(text) && text !== 'Object'
}

/** Removes from a name the parts that V8 or a browser composed from values, e.g. WeakMap keys, `data:` URLs and URL queries. */
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
  // In a browser's snapshot, a DOM element is named `<tag attributes>`: keep the tag only.
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
