import type { Budget } from '../../dispatch/budget'

/**
 * Changes the number of tokens that are taken by ARGV[1], which is 1 or -1, in one step of the server. The answer is what
 * rate-limiter-flexible expects: the number then, and the ms until the interval is over.
 *
 * In place of its own script, which also counts what it refuses: a token that is given back would be lost under a thousand refusals.
 * A token of an interval that is over is not given back to the next. The limits are in the text, because not every version passes them.
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
