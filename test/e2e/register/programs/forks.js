// A process that forks itself: both ends print, and the exit code of the child is that of the parent.
const { fork } = require('node:child_process')

if (process.argv[2] === 'child') {
  process.send({ got: process.execArgv.length }, () => process.exit(5))
} else {
  const child = fork(__filename, ['child'])
  child.on('message', (message) => console.log('message', message))
  child.on('exit', (code) => {
    console.log('child ended with', code)
    process.exitCode = code
  })
}
