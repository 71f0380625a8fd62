/** Declaration of an option: its name, how its environment variable is read, and whether it can change at run time. */
export interface DeclaredOption {
  /** Path of the option, such as `cpu.threshold`. */
  readonly option: string
  /**
   * How the option's environment variable is read. `value`: as JSON if the text is valid JSON (a number, `true`, `false`,
   * an array, an object), else as a string. `text`: always as a string. `none`: the option has no variable, and only code
   * can set it.
   */
  readonly variable: 'value' | 'text' | 'none'
  /** An example of the variable's value, for the documentation. */
  readonly example: string
  /** Whether `update()` can change the option while the monitor runs. */
  readonly isLive?: true
}

/**
 * The options of the monitor, of its groups `cpu` and `memory`, and of `redisBudget()`. An option that is not listed here is
 * refused with an error. The options inside of a rule and inside of `memory.heapLimit` are checked elsewhere.
 */
export const DECLARED_OPTIONS: readonly DeclaredOption[] = [
  { option: 'cpu', variable: 'value', example: 'false' },
  { option: 'memory', variable: 'value', example: 'false' },
  { option: 'rules', variable: 'value', example: '[]' },
  { option: 'profileDir', variable: 'text', example: '/var/lib/shop/evidence' },
  { option: 'signal', variable: 'value', example: 'SIGUSR2' },
  { option: 'watchdog', variable: 'value', example: 'false' },
  { option: 'startAtOnce', variable: 'value', example: 'true' },
  { option: 'engine', variable: 'text', example: 'builtin' },
  { option: 'keep', variable: 'value', example: '5' },
  { option: 'logger', variable: 'value', example: 'false' },
  { option: 'onDump', variable: 'none', example: '' },
  { option: 'fleet', variable: 'none', example: '' },
  { option: 'cpu.interval', variable: 'value', example: '500' },
  { option: 'cpu.threshold', variable: 'value', example: '80%', isLive: true },
  { option: 'cpu.profileDir', variable: 'text', example: '/var/lib/shop/evidence' },
  { option: 'cpu.counter', variable: 'value', example: '5', isLive: true },
  { option: 'cpu.limiter', variable: 'value', example: '[5, "hour"]', isLive: true },
  { option: 'cpu.duration', variable: 'value', example: '10000', isLive: true },
  { option: 'cpu.blocked', variable: 'value', example: 'false' },
  { option: 'memory.interval', variable: 'value', example: '500' },
  { option: 'memory.threshold', variable: 'value', example: '1.2gb', isLive: true },
  { option: 'memory.profileDir', variable: 'text', example: '/var/lib/shop/evidence' },
  { option: 'memory.counter', variable: 'value', example: '5', isLive: true },
  { option: 'memory.limiter', variable: 'value', example: '[2, "day"]', isLive: true },
  { option: 'memory.sampling', variable: 'value', example: 'false' },
  { option: 'memory.redact', variable: 'value', example: 'true' },
  { option: 'memory.heapLimit', variable: 'value', example: '{"hold": 20000}' },
  { option: 'memory.leakPair', variable: 'value', example: 'false' },
  // Options of the function `redisBudget()`, which makes the option `fleet` from them.
  { option: 'redis.url', variable: 'text', example: 'redis://redis:6379' },
  { option: 'redis.service', variable: 'text', example: 'shop' },
  { option: 'redis.cpu', variable: 'value', example: '[5, "hour"]' },
  { option: 'redis.memory', variable: 'value', example: '[2, "day"]' },
  { option: 'redis.insurance', variable: 'value', example: '0' },
  { option: 'redis.timeout', variable: 'value', example: '500' },
  { option: 'redis.client', variable: 'text', example: 'ioredis' },
]

/** Returns the names of the options in a group, such as `threshold` in `cpu`. Without a group, returns the top-level options. */
export function optionsOf(group?: 'cpu' | 'memory' | 'redis', options = DECLARED_OPTIONS): string[] {
  const names = options.map(({ option }) => option.split('.'))
  return group === undefined
    ? names.flatMap(([name = '', inner]) => (inner === undefined ? [name] : []))
    : names.flatMap(([first, inner]) => (first === group && inner !== undefined ? [inner] : []))
}

/** Returns the name of an option's environment variable, such as `CMM_MEMORY_HEAP_LIMIT`. */
export function variableOf(option: string): string {
  return `CMM_${option.replace('.', '_').replace(/[A-Z]/g, '_$&').toUpperCase()}`
}
