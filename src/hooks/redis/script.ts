import type { Budget } from '../../dispatch/budget'

/**
 * Returns a Lua script that atomically changes the number of taken tokens (one per dump) by ARGV[1], which is 1 or -1. The script
 * returns what rate-limiter-flexible expects: the new number (for a refused request, a number above the limit), and the ms until
 * the interval is over.
 *
 * The script of rate-limiter-flexible itself also counts refused requests: after a thousand of them, a token that is given back
 * would not bring the number below the limit. This script does not count them, and gives no token back once the interval is over.
 * The limits are part of the script's text, because not every version of the package passes them as arguments.
 */
export function scriptOf({ tokensPerInterval, intervalMs }: Budget): string {
  return `
local change = tonumber(ARGV[1])
local taken = tonumber(redis.call('get', KEYS[1]) or 0)
local left = redis.call('pttl', KEYS[1])
if left < 0 then taken = 0 end
if change < 0 and taken < 1 then return {0, math.max(left, 0)} end
if change > 0 and taken + change > ${tokensPerInterval} then return {${tokensPerInterval + 1}, left} end
if left < 0 then
  left = ${Math.ceil(intervalMs)}
  redis.call('set', KEYS[1], 0, 'PX', left)
end
return {redis.call('incrby', KEYS[1], change), left}`
}
