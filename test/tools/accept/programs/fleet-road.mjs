// A way to S3 on which each request is seen that was answered with success.
import { once } from 'node:events'
import { createServer, request } from 'node:http'

/**
 * @returns {Promise<{ endpoint: string, succeeded: { method: string, key: string, query: string }[], close(): void }>}
 */
export async function openRoad(target) {
  const { hostname: host, port } = new URL(target)
  const succeeded = []
  const server = createServer((incoming, answer) => {
    const { method, url, headers } = incoming
    const [path, query = ''] = url.split('?')
    const onward = request({ host, port, method, path: url, headers }, (response) => {
      if (response.statusCode === 200)
        succeeded.push({ method, key: decodeURIComponent(path).split('/').slice(2).join('/'), query })
      answer.writeHead(response.statusCode, response.headers).flushHeaders()
      // Swift sends a body with its answer to a HEAD, which no client expects.
      if (method === 'HEAD') answer.end()
      else response.on('error', () => answer.destroy()).pipe(answer)
    })
    onward.on('error', () => answer.destroy())
    incoming.on('error', () => onward.destroy())
    incoming.pipe(onward)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${server.address().port}`,
    succeeded,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
