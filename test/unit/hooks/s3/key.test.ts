import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArtefactName, type ParsedName } from '../../../../src/files/names'
import { DEFAULT_KEY, keysOf, metadataOf, placeOf, whyNoTemplate } from '../../../../src/hooks/s3/key'

const name = parseArtefactName('heap-limit-memory-7-1000.heapsnapshot') as ParsedName
const source = { template: DEFAULT_KEY, prefix: 'a/b', host: 'web-0', service: 'shop' }

test('the key of an artefact is that of the documentation, and its .json stands beside it', () => {
  assert.equal(DEFAULT_KEY, '<prefix>/<host>/<pid>-<ms>-<name>')
  const base = 'a/b/web-0/7-1000-heap-limit-memory-7-1000.heapsnapshot'
  assert.deepEqual(keysOf(source, name), { artefact: `${base}.gz`, sidecar: `${base}.json` })
})

test('a template may contain each part', () => {
  const template = '<service>/<kind>/<rule>/<host>/<name>'
  assert.equal(
    keysOf({ ...source, template }, name).sidecar,
    'shop/memory/heap-limit/web-0/heap-limit-memory-7-1000.heapsnapshot.json',
  )
})

test('an empty part leaves no empty level, and nothing climbs out of the prefix', () => {
  assert.match(keysOf({ ...source, prefix: '' }, name).artefact, /^web-0\/7-/)
  assert.match(keysOf({ ...source, prefix: '/x//y/' }, name).artefact, /^x\/y\/web-0\/7-/)
  assert.match(keysOf({ ...source, prefix: '../x', host: 'a/../b?' }, name).artefact, /^_\/x\/a_\.\._b_\/7-/)
})

test('the place is the bucket and the prefix that keys have, and the host of an endpoint without its secrets', () => {
  const destination = { bucket: 'evidence', prefix: '', template: DEFAULT_KEY, endpoint: undefined }
  assert.equal(placeOf(destination), 's3://evidence')
  assert.equal(placeOf({ ...destination, prefix: '/a b//c/' }), 's3://evidence/a_b/c')
  assert.equal(placeOf({ ...destination, prefix: 'shop', template: '<host>/<name>' }), 's3://evidence')
  const endpoint = 'https://user:s3cret@minio:9000/path?key=s3cret'
  assert.equal(placeOf({ ...destination, prefix: 'shop', endpoint }), 's3://evidence/shop at minio:9000')
})

test('a template without the name or the host, or with a part that does not exist, is refused', () => {
  assert.equal(whyNoTemplate(DEFAULT_KEY), undefined)
  const replaces = (part: string): string => `without <${part}> one dump file could overwrite another`
  assert.equal(whyNoTemplate('<prefix>/<host>'), replaces('name'))
  // Of two containers both have the pid 1.
  assert.equal(whyNoTemplate('<prefix>/<service>/<pid>-<ms>-<name>'), replaces('host'))
  assert.equal(whyNoTemplate('<host>/<name>'), undefined)
  assert.match(whyNoTemplate('<nmae>') ?? '', /^<nmae> is not one of <prefix>, .*<name>$/)
})

test('metadata is what a header can have', () => {
  assert.deepEqual(metadataOf({ why: 'leak memory', service: '', makeup: 'worker \u00e4\r\nX-Evil: 1' }), {
    why: 'leak memory',
    makeup: 'worker ?X-Evil: 1',
  })
  assert.equal(metadataOf({ makeup: 'x'.repeat(5000) })['makeup']?.length, 400)
})
