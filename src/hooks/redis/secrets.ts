/** A secret is recognised in an error text by this number of its first characters: a server may have cut off the others. */
const TELLING = 8

/**
 * Returns the secrets in a Redis URL, longest first: user and password, also those in query parameters, each as written, decoded
 * and percent-encoded.
 */
export function secretsOf(url: string): string[] {
  const { username, password, searchParams } = new URL(url)
  const login = /^[^:]*:\/*([^/?#]*)@/.exec(url)?.[1] ?? ''
  const [, user = '', word = ''] = /^([^:]*):?(.*)$/.exec(login) ?? []
  const written = [login, user, word, username, password]
  const ofParameters = [...searchParams].flatMap(([name, value]) => (/user|pass/i.test(name) ? [value] : []))
  const meant = [...written.flatMap(decoded), ...ofParameters]
  const secrets = [...written, ...meant, ...meant.map(encodeURIComponent)]
  return [...new Set(secrets)].filter((secret) => secret !== '').sort((a, b) => b.length - a.length)
}

function decoded(text: string): string[] {
  try {
    return [decodeURIComponent(text)]
  } catch {
    return []
  }
}

/**
 * Replaces secrets in the text of an error with `***`. The part of the text in which a server before Redis 6 quotes the arguments
 * of an unknown command is removed: they may be user and password of a login.
 *
 * @param secrets - The result of {@link secretsOf}: longest first, because one secret may contain another.
 */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  const [told = ''] = text.split(/,? with args beginning with/i)
  return secrets.reduce(withoutOne, told)
}

function withoutOne(text: string, secret: string): string {
  const start = secret.slice(0, TELLING)
  let left = ''
  let from = 0
  for (let at = text.indexOf(start); at !== -1; at = text.indexOf(start, from)) {
    left += `${text.slice(from, at)}***`
    from = at + start.length
    for (let i = start.length; i < secret.length && text[from] === secret[i]; i += 1) from += 1
  }
  return left + text.slice(from)
}
