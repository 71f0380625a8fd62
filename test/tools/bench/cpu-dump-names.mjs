// Loops that ran before the profile began: whether the dump names them on the Node that runs this. The last line is for `cpu-dump`.
import { shareIn, withWatched } from '../accept/programs/watched-program.mjs'

const cpu = { threshold: 20, counter: 1, interval: 500, duration: 3000, blocked: false }
const MIN_SHARE = 0.8

const shares = []
for (const [way, guilty] of [
  ['loop', 'guiltyLoop'],
  ['regex', 'guiltyRegex'],
  ['handler', 'guiltyHandler'],
]) {
  const share = await withWatched({ cpu }, [way], async (program) =>
    shareIn(program.path(await program.leavesFile()), guilty),
  )
  // The handler rests between its calls.
  if (share < (way === 'handler' ? MIN_SHARE / 2 : MIN_SHARE)) process.exitCode = 1
  shares.push(`${guilty} ${Math.round(share * 100)} %`)
}
console.log(`Node ${process.version}: ${shares.join(', ')}`)
