// The command lines of `foreign` with the Node that runs this: node foreign-here.mjs <directory of the tools>
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const commands = fileURLToPath(new URL('foreign-commands.ts', import.meta.url))
const { status } = spawnSync(process.execPath, ['--import', 'tsx', commands, process.argv[2]], {
  stdio: 'inherit',
})
process.exitCode = status ?? 1
