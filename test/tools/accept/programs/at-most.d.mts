export function expectAtMost(
  dumps: readonly { readonly startedAtMs: number }[],
  budget: { readonly tokens: number; readonly intervalMs: number; readonly lateMs: number },
): void
