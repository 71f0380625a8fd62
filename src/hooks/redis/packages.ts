import { type ResolvedPackage, resolvePackage } from '../../capture/engines'
import { type ClientName, CLIENTS } from './options'

/** Names and files of rate-limiter-flexible and the Redis client in use, as plain data that can be sent to a thread. */
export interface RedisPackages {
  readonly limiter: ResolvedPackage
  readonly client: ResolvedPackage & { readonly name: ClientName }
}

/**
 * Finds rate-limiter-flexible and a Redis client among the installed packages, without loading them.
 *
 * @param wanted - The client to use. Default: the first of {@link CLIENTS} that is installed.
 * @throws Error with the command that installs the missing packages.
 */
export function findPackages(wanted: ClientName | undefined, find = resolvePackage): RedisPackages {
  const refused: string[] = []
  const limiter = find('rate-limiter-flexible', refused)
  const names = wanted === undefined ? CLIENTS : [wanted]
  const clients = names.flatMap((name) => {
    const found = find(name, refused)
    return found ? [{ ...found, name }] : []
  })
  const [client] = clients
  if (limiter && client) return { limiter, client }
  const missing = [
    ...(limiter ? [] : ['rate-limiter-flexible']),
    ...(client ? [] : [wanted ?? `one of ${CLIENTS.join(', ')}`]),
  ]
  const install = [...(limiter ? [] : ['rate-limiter-flexible']), ...(client ? [] : [wanted ?? CLIENTS[0]])]
  const why = refused.length > 0 ? ` (${refused.join('; ')})` : ''
  throw new Error(
    `options.redis needs packages that are not installed: ${missing.join(' and ')}${why}. ` +
      `Run: npm install ${install.join(' ')}`,
  )
}
