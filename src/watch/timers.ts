import * as nodeTimers from 'node:timers'

/**
 * Node's timers as they were when this module was loaded. Applications and their tests replace the global ones; a watch
 * that hangs on a fake clock watches nothing, and a beat on one would look like a blocked loop.
 */
export const { setTimeout, clearTimeout } = nodeTimers
