import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SENT_FILE } from '../../../../src/files/sent-list'
import { destinationOf, SentList } from '../../../../src/hooks/s3/sent'

const of = (endpoint?: string) => destinationOf({ endpoint, bucket: 'evidence', prefix: 'shop' })

test('the file of what was sent has no login of the endpoint', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'sent-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  for (const endpoint of [
    'https://user:s3cret@minio:9000',
    'https:\\\\user:s3cret@minio:9000',
    'http:s3cret@minio',
  ]) {
    new SentList(directory, of(endpoint)).add('cpu-1-2.cpuprofile')
    const text = readFileSync(join(directory, SENT_FILE), 'utf8')
    assert.doesNotMatch(text, /s3cret|user/)
    assert.match(text, /minio.*cpu-1-2\.cpuprofile/)
    assert.ok(new SentList(directory, of(endpoint)).names.has('cpu-1-2.cpuprofile'))
  }
})

test('another destination is as it was given', () => {
  assert.equal(of('https://minio:9000'), 'https://minio:9000/evidence/shop')
  assert.equal(of('https://minio:9000/path/'), 'https://minio:9000/path//evidence/shop')
  assert.equal(of(), '/evidence/shop')
})
