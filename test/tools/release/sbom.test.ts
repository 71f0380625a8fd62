import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const repository = join(__dirname, '../../..')

interface Component {
  readonly name: string
  readonly version: string
  readonly purl: string
  readonly properties: readonly { readonly name: string }[]
  readonly hashes: readonly object[]
  readonly licenses: readonly object[]
}

interface Bill {
  readonly bomFormat: string
  readonly metadata: { readonly component: { readonly name: string } }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

const bill = JSON.parse(
  execFileSync(process.execPath, [join(__dirname, 'sbom.mjs')], { encoding: 'utf8', timeout: 120_000 }),
) as Bill
const names = (components: readonly Component[]) => components.map(({ name }) => name)
const isBundled = ({ properties }: Component) =>
  properties.some(({ name }) => name === 'cdx:npm:package:bundled')

test('the bill of materials names what is installed with the package, and what is bundled into it', () => {
  const { dependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  assert.equal(bill.metadata.component.name, 'cpu-memory-monitor')
  assert.deepEqual(
    names(bill.components.filter((component) => !isBundled(component))).sort(),
    Object.keys(dependencies).sort(),
  )
  const bundled = names(bill.components.filter(isBundled))
  for (const library of ['heap-snapshot-toolkit', 'd3-flame-graph', 'd3-color', '@jridgewell/trace-mapping'])
    assert.ok(bundled.includes(library), library)
})

test('it names nothing that is for development alone', () => {
  for (const tool of ['typescript', 'esbuild', 'fastify', 'redis'])
    assert.ok(!names(bill.components).includes(tool), tool)
  assert.ok(
    !bill.components.some(({ properties }) => properties.some(({ name }) => name.endsWith(':development'))),
  )
})

test('each component has a version, a hash and a licence, and no dependency leads out of the bill', () => {
  for (const { name, version, purl, hashes, licenses } of bill.components) {
    assert.equal(purl, `pkg:npm/${name.replace('@', '%40')}@${version}`)
    assert.ok(hashes.length > 0 && licenses.length > 0, name)
  }
  const refs = bill.dependencies.map(({ ref }) => ref)
  assert.equal(refs.length, bill.components.length + 1)
  for (const { dependsOn } of bill.dependencies)
    for (const ref of dependsOn) assert.ok(refs.includes(ref), ref)
})
