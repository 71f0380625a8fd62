// Checks the installed packages against the signatures of the registry, by `npm audit signatures`: a signature that is wrong, or
// missing where the registry has keys, fails. Where no key can be had, because the registry in use has none or their store cannot
// be reached, nothing can be checked: one line gives the reason, and the exit code is 0.
//
//   node test/tools/release/signatures.mjs
import { spawnSync } from 'node:child_process'

const TIMEOUT_MS = 300_000

/** What npm reports when a server does not answer. */
const UNREACHABLE =
  /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)$/
const NO_KEYS = /no dependencies to audit that were installed from a supported registry/

const { stdout, error } = spawnSync('npm', ['audit', 'signatures', '--json', '--fetch-retries=1'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
  timeout: TIMEOUT_MS,
})

const { line, isFailure } = verdictOf(error ? { error: { code: error.code } } : parsed(stdout))
console.log(line)
process.exit(isFailure ? 1 : 0)

function verdictOf({ error, invalid, missing }) {
  if (error && UNREACHABLE.test(error.code))
    return skipped(`the store of the registries' keys cannot be reached (${error.code})`)
  if (error && NO_KEYS.test(error.summary)) return skipped('the registry in use has no signing keys')
  if (!Array.isArray(invalid) || !Array.isArray(missing))
    return { line: `npm audit signatures: ${error?.summary ?? error?.code ?? 'no result'}`, isFailure: true }
  const wrong = [...invalid.map(named('wrong')), ...missing.map(named('missing'))]
  return wrong.length > 0
    ? { line: `signatures of packages:\n${wrong.join('\n')}`, isFailure: true }
    : { line: 'signatures of packages: none is wrong, none is missing', isFailure: false }
}

function skipped(reason) {
  return { line: `signatures of packages: not checked: ${reason}`, isFailure: false }
}

function named(fault) {
  return ({ name, version }) => `${fault}: ${name}@${version}`
}

function parsed(text) {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}
