import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Version of this package as its package.json has it; `unknown` when a bundler has left that file behind. */
export const VERSION = versionOf(join(__dirname, '..', '..', 'package.json'))

function versionOf(manifest: string): string {
  try {
    const { name, version } = JSON.parse(readFileSync(manifest, 'utf8')) as Record<string, unknown>
    return name === 'cpu-memory-monitor' && typeof version === 'string' ? version : 'unknown'
  } catch {
    return 'unknown'
  }
}
