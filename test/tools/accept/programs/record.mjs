import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'

/**
 * Records what `run()` of a page or program does, over the protocol of DevTools, the way that DevTools itself does.
 *
 * @param session - `send(method, parameters)` and `on(event, listener)`.
 */
export async function record({ send, on }, file) {
  const run = () => send('Runtime.evaluate', { expression: 'void run()' })
  if (file.endsWith('.cpuprofile')) {
    await send('Profiler.enable')
    await send('Profiler.start')
    await run()
    writeFileSync(file, JSON.stringify((await send('Profiler.stop')).profile))
  } else if (file.endsWith('.heapprofile')) {
    await send('HeapProfiler.startSampling', { samplingInterval: 32_768 })
    await run()
    writeFileSync(file, JSON.stringify((await send('HeapProfiler.getSamplingProfile')).profile))
  } else {
    await run()
    const fd = openSync(file, 'w')
    on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => writeSync(fd, chunk))
    await send('HeapProfiler.takeHeapSnapshot', { captureNumericValue: true })
    closeSync(fd)
  }
}
