import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { killGroup } from './process-group'
import type { Undo } from './undo'

/** Where and with what a variant is started. */
export interface Place {
  /** Its own; removed after the run. */
  readonly directory: string
  readonly env: NodeJS.ProcessEnv
  /** The `node_modules` of its peer; empty without one. */
  readonly modules: string
  /** What it says goes there. */
  readonly outputFile: string
  /** Ends it. To be given before anything is started. */
  readonly undo: Undo
}

/** Starts a variant. Resolves when its processes have been asked for; the probe tells when they serve. */
export type Start = (place: Place) => Promise<void>

/** A variant whose primary is a program of ours that requires the peer. */
export function program(file: string, settings: Readonly<Record<string, string>> = {}): Start {
  return async ({ env, modules, outputFile, undo }) => {
    const full = { ...env, ...settings, NODE_PATH: modules }
    const primary = spawnNode([`${__dirname}/programs/${file}`], full, outputFile)
    undo.after(async () => {
      killGroup(primary.pid)
      if (primary.exitCode === null && primary.signalCode === null) await once(primary, 'exit')
    })
    await once(primary, 'spawn')
  }
}

/** In a process group of its own: the Ctrl-C of a terminal goes to the bench alone, which cleans up. */
export function spawnNode(args: readonly string[], env: NodeJS.ProcessEnv, outputFile: string): ChildProcess {
  const output = openSync(outputFile, 'a')
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', output, output], env })
  closeSync(output)
  return child
}
