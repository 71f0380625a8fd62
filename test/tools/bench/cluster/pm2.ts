import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { allGone, killGroup } from './process-group'
import { CHECK_INTERVAL_MS, LIMIT_BYTES, WORKERS } from './setting'
import { spawnNode, type Start } from './start'

const APP = `${__dirname}/programs/app.cjs`
const COMMAND_MS = 20_000

/** PM2 as one uses it, by its commands; but with a home and so a daemon of its own, which ends with the run. */
export function pm2(settings: Readonly<Record<string, string>> = {}): Start {
  return async ({ directory, env, modules, outputFile, undo }) => {
    const home = join(directory, 'pm2')
    const full = {
      ...env,
      ...settings,
      PM2_HOME: home,
      PM2_WORKER_INTERVAL: String(CHECK_INTERVAL_MS),
      // No banner, no question to the network for a newer version.
      PM2_PROGRAMMATIC: 'true',
      PM2_DISABLE_VERSION_CHECK: 'true',
      PM2_NO_INTERACTION: 'true',
    }
    const command = async (...args: string[]): Promise<void> => {
      const cli = spawnNode([join(modules, 'pm2', 'bin', 'pm2'), ...args], full, outputFile)
      const timer = setTimeout(() => cli.kill('SIGKILL'), COMMAND_MS)
      const [code, signal] = (await once(cli, 'exit')) as [number | null, string | null]
      clearTimeout(timer)
      if (code !== 0) throw new Error(`pm2 ${args[0]} ended with ${signal ?? code}`)
    }
    undo.after(async () => {
      const daemon = daemonOf(home)
      if (daemon === undefined) return
      try {
        await command('kill')
      } finally {
        killGroup(daemon)
        await allGone([daemon])
      }
    })
    await command('start', APP, '-i', String(WORKERS), '--max-memory-restart', String(LIMIT_BYTES))
  }
}

/** The daemon leads a process group, in which its workers are. */
function daemonOf(home: string): number | undefined {
  try {
    return Number(readFileSync(join(home, 'pm2.pid'), 'utf8')) || undefined
  } catch {
    return undefined
  }
}
