/**
 * Why this process can have no inspector session, and with it no CPU profile by the inspector and no sampling heap profile;
 * `undefined` when it can. Asked before the first session: one from another thread does not throw where `--permission`
 * refuses it, but aborts the process.
 */
export function whyNoInspector(): string | undefined {
  if (!process.features.inspector) return 'this Node was built without the inspector'
  // Node 26 has a flag that allows it; before, nothing does.
  const permission = process.permission as { has(scope: string): boolean } | undefined
  return permission === undefined || permission.has('inspector')
    ? undefined
    : '--permission refuses the inspector'
}
