// A reporter for node:test: a line on stderr for each row of the attack table, F1 to F23 and H1 to H25, and their sum on stdout.
const ROWS = [...rowsOf('F', 23), ...rowsOf('H', 25)]

export default async function* attackRows(events) {
  const rows = new Map(ROWS.map((row) => [row, { passed: 0, failed: [], skipped: [], held: 0, rounds: 0 }]))
  for await (const { type, data } of events) {
    if (type === 'test:diagnostic') addRounds(rows, data.message)
    const row = rows.get(/^[FH]\d+(?= )/.exec(data?.name ?? '')?.[0])
    if (row === undefined || data.details?.type === 'suite') continue
    if (type === 'test:pass' && data.skip === undefined) row.passed++
    else if (type === 'test:pass') row.skipped.push(`${data.name}: ${data.skip}`)
    else if (type === 'test:fail') row.failed.push(`${data.name}: ${data.details?.error?.message}`)
  }
  const major = process.versions.node.split('.')[0]
  for (const [name, row] of rows) process.stderr.write(`Node ${major}  ${name.padEnd(3)}  ${inWords(row)}\n`)
  const all = [...rows.values()]
  const held = all.filter(isHeld).length
  const [rounds, heldRounds] = [sum(all, 'rounds'), sum(all, 'held')]
  if (held < all.length) process.exitCode = 1
  yield `Node ${major}: ${held} of ${all.length} rows held, ${heldRounds} of ${rounds} rounds of races\n`
}

function rowsOf(letter, count) {
  return Array.from({ length: count }, (_, index) => `${letter}${index + 1}`)
}

/** By the sentence that each race ends with. */
function addRounds(rows, message) {
  const [, name, held, rounds] = /^([FH]\d+) .*: (\d+) of (\d+) rounds held/.exec(message) ?? []
  const row = rows.get(name)
  if (row === undefined) return
  row.held += Number(held)
  row.rounds += Number(rounds)
}

/** A row without a test that ran is not held. */
function isHeld({ passed, failed }) {
  return passed > 0 && failed.length === 0
}

function inWords(row) {
  const rounds = row.rounds > 0 ? `${row.held} of ${row.rounds} rounds, ` : ''
  const details = [...row.failed, ...row.skipped.map((one) => `skipped: ${one}`)].map(
    (one) => `\n         ${one}`,
  )
  return `${isHeld(row) ? 'held' : 'LOST'}  ${rounds}${row.passed} tests${details.join('')}`
}

function sum(rows, key) {
  return rows.reduce((total, row) => total + row[key], 0)
}
