-- Take the lease of a slot when nobody holds it. Every new holder gets a higher fence.
-- Asking again under the same owner name is answered alike, so a lost reply costs nothing.
-- KEYS[1] lease hash, KEYS[2] fence counter
-- ARGV[1] owner (unique per term), ARGV[2] lease_ms
-- returns {fence, lease_ms} when held, {0, ms until the lease may be free} when refused; O(1)
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then
  return {0, redis.call('PTTL', KEYS[1])}
end
if not owner then
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', redis.call('INCR', KEYS[2]))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {tonumber(redis.call('HGET', KEYS[1], 'fence')), tonumber(ARGV[2])}
