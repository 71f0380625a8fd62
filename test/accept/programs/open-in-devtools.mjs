import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const DEVTOOLS = fileURLToPath(new URL('../../devtools/devtools.ts', import.meta.url))

/** The functions that DevTools shows on top of a sampling heap profile, as text. The harness is TypeScript. */
export async function openHeapProfile(file) {
  const program = `
    const { startDevTools } = require(${JSON.stringify(DEVTOOLS)})
    startDevTools().then(async (devTools) => {
      const { functions } = await devTools.openHeapProfile(${JSON.stringify(file)})
      console.log(functions.slice(0, 5).map(({ name }) => name).join(' '))
      await devTools.close()
    })`
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '-e', program], {
    encoding: 'utf8',
    timeout: 120_000,
    cwd: fileURLToPath(new URL('../../..', import.meta.url)),
  })
  return stdout.trim() || `nothing: ${stderr.trim().split('\n').slice(0, 3).join(' ')}`
}
