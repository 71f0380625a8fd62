'use strict'
// Joins the cgroup whose list of processes the argument names, takes the turn for heap dumps there, and keeps it until it is killed.
require('node:fs').writeFileSync(process.argv[2], String(process.pid))
const { takeTurn, turnName } = require('../../../../dist/system/turn.js')

takeTurn({ longestMs: 60_000, early: new AbortController().signal }).then((endTurn) => {
  // A turn that nobody can end any more ends when it is garbage collected.
  globalThis.endTurn = endTurn
  console.log(JSON.stringify({ turn: turnName() }))
})
setInterval(() => {}, 1000)
