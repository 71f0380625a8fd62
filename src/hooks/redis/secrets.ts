/** Of a secret that a server repeats it may have cut the end: from so many of its characters on it counts as repeated. */
const TELLING = 8

/** What a URL of Redis holds that nobody may read: user and password, also as parameters, as they are written and as they are meant. */
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
 * Takes secrets out of the text of an error. A server before Redis 6 repeats the arguments of a command that it does not know, the
 * password of a login among them, and cuts them where they are long.
 *
 * @param secrets - The longest first.
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
