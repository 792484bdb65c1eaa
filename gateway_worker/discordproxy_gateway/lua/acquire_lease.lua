-- Take the lease of a slot when nobody holds it. Every new holder gets a higher fence.
-- Asking again under the same owner name is answered alike, so a lost reply costs nothing.
-- Who divides the bot into another number of shards is refused: each guild would be on two connections.
-- KEYS[1] lease hash, KEYS[2] fence counter, KEYS[3] number of shards of all who lead
-- ARGV[1] owner (unique per term), ARGV[2] lease_ms, ARGV[3] number of shards
-- returns {fence, lease_ms, shards} when held, {0, ms until the lease may be free, shards of the others} else; O(1)
local shards = redis.call('GET', KEYS[3])
for _, key in ipairs({KEYS[1], KEYS[3]}) do -- a key without an expiry would be held for ever
  if redis.call('PTTL', key) == -1 then redis.call('PEXPIRE', key, ARGV[2]) end
end
if shards and shards ~= ARGV[3] then
  return {0, redis.call('PTTL', KEYS[3]), shards}
end
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then
  return {0, redis.call('PTTL', KEYS[1]), ARGV[3]}
end
if not owner then
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', redis.call('INCR', KEYS[2]))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[2])
return {tonumber(redis.call('HGET', KEYS[1], 'fence')), tonumber(ARGV[2]), ARGV[3]}
