import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Packages of an application: a directory with a `node_modules`, or the source of each by name. */
export type Installed = string | Readonly<Record<string, string>> | undefined

/**
 * Makes `directory` an application that has installed these packages: the monitor finds them above the main program.
 *
 * @returns Its main program, which runs the program that its first argument names: `node main.js program.js arguments…`.
 */
export function makeApplication(directory: string, installed: Installed): string {
  if (typeof installed === 'string') {
    symlinkSync(join(installed, 'node_modules'), join(directory, 'node_modules'))
  } else {
    for (const [name, source] of Object.entries(installed ?? {})) installPackage(directory, name, source)
  }
  const main = join(directory, 'main.js')
  writeFileSync(main, 'process.argv.splice(1, 1)\nrequire(process.argv[1])\n')
  return main
}

/** @returns The file that is loaded. */
export function installPackage(directory: string, name: string, source: string): string {
  const folder = join(directory, 'node_modules', name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, main: 'main.js' }))
  const file = join(folder, 'main.js')
  writeFileSync(file, source)
  return file
}
