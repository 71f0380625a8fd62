import { require as requireTs } from 'tsx/cjs/api'

const { startDevTools } = requireTs('../../devtools/devtools.ts', import.meta.url)

/** Runs `follow` with a browser for any number of files, and ends the browser. */
export async function withDevTools(follow) {
  const devTools = await startDevTools({ timeoutMs: 180_000 })
  try {
    return await follow({
      /** Whether DevTools shows that function among the first of a sampling heap profile. */
      names: async (file, functionName) => {
        const { functions } = await devTools.openHeapProfile(file)
        return functions.slice(0, 5).some(({ name }) => name === functionName)
      },
      /** Whether DevTools shows that function among the first of a CPU profile, most self time first. */
      blames: async (file, functionName) => {
        const { functions } = await devTools.openCpuProfile(file)
        return functions.slice(0, 5).some(({ name }) => name === functionName)
      },
      /** The uppermost rows of a file in the view of its kind: name, and share or size by which they are sorted. */
      rows: async (file) => {
        if (file.endsWith('.heapsnapshot')) {
          const { classes } = await devTools.openHeapSummary(file)
          return classes.map(({ name, retainedPercent }) => ({ name, value: retainedPercent }))
        }
        if (file.endsWith('.heapprofile')) {
          const { functions } = await devTools.openHeapProfile(file)
          return functions.map(({ name, selfPercent }) => ({ name, value: selfPercent }))
        }
        const { functions } = await devTools.openCpuProfile(file)
        return functions.map(({ name, selfMs }) => ({ name, value: selfMs }))
      },
      /** Instances of a class in the summary of a heap snapshot. */
      instances: async (file, className) => (await devTools.openHeapSnapshot(file, className)).count,
    })
  } finally {
    await devTools.close()
  }
}
