// Prints the software bill of materials of the package, in CycloneDX, as `npm sbom` writes it: the dependencies that npm installs
// with the package, and the libraries that src/reader/build.mjs has bundled into it.
//
//   npm --silent run sbom
//
// Expects a built dist/. Of the whole tree, `npm sbom` prints the same components; its --omit dev leaves out a dependency that a
// development dependency needs as well, and all that is bundled.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const { name, version, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const whole = JSON.parse(
  execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    timeout: 120_000,
  }),
)
const edges = new Map(whole.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]))
const self = `${name}@${version}`
const bundled = bundledLibraries()
const installed = reachable(
  edges.get(self).filter((ref) => ref.slice(0, ref.lastIndexOf('@')) in dependencies),
)

const components = whole.components
  .filter((component) => installed.has(component['bom-ref']) || bundled.has(component['bom-ref']))
  .map((component) => (installed.has(component['bom-ref']) ? component : asBundled(component)))
const known = new Set(components.map((component) => component['bom-ref']))
const unknown = [...bundled, ...installed].filter((ref) => !known.has(ref))
if (unknown.length > 0) throw new Error(`package-lock.json lacks ${unknown.join(', ')}: build anew`)

console.log(
  JSON.stringify(
    {
      ...whole,
      // npm takes the name from that of the folder.
      metadata: { ...whole.metadata, component: { ...whole.metadata.component, name } },
      components,
      dependencies: [...edges]
        .filter(([ref]) => ref === self || known.has(ref))
        .map(([ref, dependsOn]) => ({ ref, dependsOn: dependsOn.filter((other) => known.has(other)) })),
    },
    null,
    2,
  ),
)

/** From the licences that the build has written, each below a heading such as `d3-color 3.1.1 (ISC)`. */
function bundledLibraries() {
  const sections = readFileSync(join(root, 'dist/reader/LICENSES.txt'), 'utf8').split(
    `\n${'-'.repeat(80)}\n\n`,
  )
  return new Set(
    sections.map((section) => {
      const [, library, release] = /^(\S+) (\S+) \(/.exec(section) ?? []
      if (library === undefined) throw new Error(`no heading of a licence: ${section.split('\n')[0]}`)
      return `${library}@${release}`
    }),
  )
}

function reachable(refs) {
  const found = new Set()
  const visit = (ref) => {
    if (found.has(ref)) return
    found.add(ref)
    for (const next of edges.get(ref) ?? []) visit(next)
  }
  refs.forEach(visit)
  return found
}

/** npm calls it a development dependency; its code is in the package. */
function asBundled(component) {
  const properties = component.properties.filter(
    (property) => property.name !== 'cdx:npm:package:development',
  )
  return { ...component, properties: [...properties, { name: 'cdx:npm:package:bundled', value: 'true' }] }
}
