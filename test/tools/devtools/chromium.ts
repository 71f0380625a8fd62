import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Browser } from 'playwright-core'
import { chromium } from 'playwright-core'

// No sandbox, because continuous integration runs as root; the rest keeps the browser off the network.
const chromiumArguments = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Where Chromium is: what `CHROMIUM` says, else what `which chromium` would say; `undefined` when there is none. */
export function findChromium(): string | undefined {
  const places = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'chromium'))
  return process.env['CHROMIUM'] || places.find(isExecutable)
}

/**
 * Why tests that need Chromium have to be skipped on this machine, or `false`.
 *
 * @throws Under `CI=true`, where a missing browser is a mistake of the machine and not a reason to look away.
 */
export function missingChromium(): string | false {
  if (findChromium() !== undefined) return false
  const reason = 'no Chromium: install the package "chromium" or set CHROMIUM to its path'
  if (process.env['CI'] === 'true') throw new Error(reason)
  return reason
}

/** Starts headless Chromium. It dies with this process; `close()` ends it before. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium()
  if (executablePath === undefined) throw new Error('no Chromium on PATH and no CHROMIUM in the environment')
  return chromium.launch({ executablePath, args: chromiumArguments, timeout: 30_000 })
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
