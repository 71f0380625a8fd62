import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const INSTALLER = fileURLToPath(new URL('../../../packages/install.mjs', import.meta.url))

/** Where heapdump and the other optional packages are built for this Node; builds them if need be. */
export function testPackages() {
  const { status, stdout } = spawnSync(process.execPath, [INSTALLER], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`the optional packages could not be built: ${status}`)
  return stdout.trim()
}
