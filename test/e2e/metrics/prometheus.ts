import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { PATIENCE_MS, Program, scratch } from '../../harness/program'

/** Why there is no Prometheus here; `undefined` where there is one. */
export function whyNoPrometheus(): string | undefined {
  const isThere = ['prometheus', 'promtool'].every((file) => spawnSync(file, ['--version']).status === 0)
  if (isThere) return undefined
  if (process.env['CI'] === 'true') throw new Error('prometheus is not installed')
  return 'prometheus is not installed (Debian: apt-get install prometheus)'
}

/** What promtool has to say against metrics; empty when nothing. */
export function complaintsAbout(metrics: string): string {
  try {
    return execFileSync('promtool', ['check', 'metrics'], { input: metrics, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    return `${stdout}${stderr}` || String(error)
  }
}

/** One series of an answer. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [atSeconds: number, value: string]
}

export interface Prometheus {
  /** Asks again until the answer has a series, as it has once enough was scraped. */
  query(expression: string): Promise<readonly Sample[]>
}

/** Starts a Prometheus that scrapes each job, by its port, once a second. */
export async function startPrometheus(
  t: TestContext,
  jobs: Readonly<Record<string, number>>,
): Promise<Prometheus> {
  const directory = scratch(t)
  const config = join(directory, 'prometheus.json')
  const scrapes = Object.entries(jobs).map(([name, port]) => ({
    job_name: name,
    static_configs: [{ targets: [`127.0.0.1:${port}`] }],
  }))
  // JSON is YAML.
  writeFileSync(config, JSON.stringify({ global: { scrape_interval: '1s' }, scrape_configs: scrapes }))
  const port = await freePort()
  const program = new Program(t, [
    'prometheus',
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ])
  return {
    async query(expression) {
      const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`
      const givesUpAtMs = performance.now() + PATIENCE_MS
      let latest = ''
      while (performance.now() < givesUpAtMs && program.child.exitCode === null) {
        const answer = await fetch(url).catch(() => undefined)
        latest = (await answer?.text()) ?? 'no answer'
        // 503 while it reads what it has stored.
        if (answer !== undefined && answer.status !== 503) {
          const { error, data } = JSON.parse(latest) as Answer
          if (!data) throw new Error(`${expression}: ${error}`)
          if (data.result.length > 0) return data.result
        }
        await pause(100)
      }
      throw new Error(`${expression}: ${latest}\n${program.stderr}`)
    },
  }
}

interface Answer {
  readonly error?: string
  readonly data?: { readonly result: readonly Sample[] }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
