// Plants secrets in every kind of place that a heap has, and writes a snapshot of it: node secrets.js <snapshot>
// The secrets are computed, so that this source holds none of them, and no list of them stays in the heap.
const { writeHeapSnapshot } = require('node:v8')

const EACH = 8

const PLACES = {
  property: (secret) => ({ note: secret }),
  'array element': (secret) => [secret],
  'concatenated string': (secret) => secret + ' and a longer rest of the text '.repeat(3),
  'sliced string': (secret) => `${secret} and then a text that is cut off`.slice(0, 40),
  'external string': (secret) => Buffer.from(secret.padEnd(1_200_000, '.')).toString('latin1'),
  'description of a symbol': (secret) => [Symbol(secret)],
  'key of a Map': (secret) => new Map([[secret, { at: 1 }]]),
  'value of a Map': (secret) => new Map([['at', secret]]),
  'member of a Set': (secret) => new Set([secret]),
  'value of a WeakMap': (secret) => {
    const key = {}
    return [key, new WeakMap([[key, secret]])]
  },
  'key of a dictionary': (secret) => Object.assign(Object.create(null), { [secret]: { at: 1 } }),
  'key of a large object': (secret) => large(secret),
  'key of a large object from JSON': (secret) => JSON.parse(JSON.stringify(large(secret))),
  'regular expression': (secret) => new RegExp(secret),
  'message of an error': (secret) => new Error(secret),
  'template object': (secret) => new Function('tag', `return tag\`${secret}\``)((strings) => strings),
  'source of a function': (secret) => new Function(`return '${secret}'`),
  'private field': (secret) => new Account(secret),
  'variable of a closure': (secret) => {
    const held = [secret]
    return () => held
  },
  'text of JSON': (secret) => flat(Buffer.from(JSON.stringify({ note: secret }))),
  URL: (secret) => new URL(`https://shop.example/${secret}`),
  'target of a WeakRef': (secret) => {
    const target = { note: secret }
    return [target, new WeakRef(target)]
  },
  'bound argument': (secret) => Math.max.bind(null, secret),
  'string object': (secret) => new String(secret),
  'result of a promise': (secret) => Promise.resolve(secret),
  'state of a generator': (secret) => {
    const generator = pause(secret)
    generator.next()
    return generator
  },
  'module of a data URL': (secret) => import(`data:text/javascript,export const note = {};//${secret}`),
}

/** Their digits are the secret. */
const NUMBERS = {
  'index of a sparse array': (digits) => {
    const sparse = []
    sparse[digits] = { at: 1 }
    return sparse
  },
  'index-like key': (digits) => ({ [digits]: { at: 1 } }),
  'large index-like key': (digits) => Object.assign(Object.create(null), { [`9${digits}0`]: { at: 1 } }),
  'heap number': (digits) => ({ amount: digits + 0.5 }),
  'small integer': (digits) => ({ amount: digits }),
}

/** Snapshots hold none of these, or not on every Node. */
const UNSEEN = {
  date: (digits) => new Date(digits * 1000 + 1),
  BigInt: (digits) => [BigInt(digits) ** 3n],
  buffer: (digits) => Buffer.from(`pin ${digits}`),
}

/** Letters only: a key that looks like the name of a property. */
function secretOf(place, index) {
  let state = 7
  const text = [...`${place} ${index}`]
  const letters = Array.from({ length: 24 }, (_, at) => {
    state = (Math.imul(state, 31) + text[at % text.length].charCodeAt(0) + at) >>> 0
    return 97 + ((state >>> 8) % 26)
  })
  return flat(Buffer.from(letters))
}

/** One string: one that is put together is in the snapshot only by its parts. */
function flat(bytes) {
  return bytes.toString('latin1')
}

function numberOf(place, index) {
  const at = Object.keys({ ...NUMBERS, ...UNSEEN }).indexOf(place)
  return 700_000_000 + at * 10_000_019 + index * 1_000_003
}

function large(secret) {
  const entries = Array.from({ length: 1500 }, (_, at) => [at === 700 ? secret : `x${secret}${at}`, { at }])
  return Object.fromEntries(entries)
}

function* pause(secret) {
  const note = [secret]
  yield
  return note
}

class Account {
  #pinHolder
  constructor(secret) {
    this.#pinHolder = [secret]
    this.ownerOfAccount = {}
  }
  read() {
    return this.#pinHolder
  }
}

/** All secrets as text, by their place, and those that a snapshot need not hold. */
function secrets() {
  const of = (places, text) =>
    Object.keys(places).map((place) => [
      place,
      Array.from({ length: EACH }, (_, index) => text(place, index)),
    ])
  const digits = (place, index) => String(numberOf(place, index))
  return {
    planted: Object.fromEntries([...of(PLACES, secretOf), ...of(NUMBERS, digits)]),
    unseen: Object.fromEntries(of(UNSEEN, digits)),
  }
}

async function main(file) {
  globalThis.heldByTheProgram = []
  for (const [places, make] of [
    [PLACES, secretOf],
    [{ ...NUMBERS, ...UNSEEN }, numberOf],
  ]) {
    for (const [place, plant] of Object.entries(places))
      for (let index = 0; index < EACH; index += 1)
        globalThis.heldByTheProgram.push(await keep(plant(make(place, index))))
  }
  writeHeapSnapshot(file, { exposeNumericValues: true })
}

/** A promise is kept, and not what it resolves to. */
async function keep(planted) {
  if (planted instanceof Promise) await planted
  return [planted]
}

if (require.main === module) main(process.argv[2])
module.exports = { secrets }
