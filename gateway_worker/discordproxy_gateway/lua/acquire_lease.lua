-- Acquire the free lease of a slot. Every new holder gets a higher fence.
-- A repeated call of the same owner returns the same, so a lost reply costs nothing.
-- A worker with another number of shards is refused: each guild would be on two connections.
-- The first holder after a change of that number begins a new era; the oldest eras are deleted.
-- KEYS[1] lease hash, KEYS[2] fence counter, KEYS[3] number of shards of the current leaders
-- KEYS[4] eras hash, KEYS[5] number of shards for readers
-- ARGV[1] owner (unique per term), ARGV[2] lease_ms, ARGV[3] number of shards, ARGV[4] ended eras to remember
-- returns {fence, lease_ms, shards, era} when held, {0, ms until the lease may be free, shards of the others} else
-- O(1); O(streams of all eras) when an era begins
local shards = redis.call('GET', KEYS[3])
local MAX_LEASE_MS = 300000 -- of the setting
for _, key in ipairs({KEYS[1], KEYS[3]}) do
  local left_ms = redis.call('PTTL', key)
  -- A key without an expiry would be held forever, after the clock was set back for as long.
  if left_ms == -1 or left_ms > MAX_LEASE_MS then redis.call('PEXPIRE', key, ARGV[2]) end
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
if redis.call('HGET', KEYS[4], 'shards') ~= ARGV[3] then
  local now = redis.call('HINCRBY', KEYS[4], 'now', 1)
  for _, field in ipairs(redis.call('HKEYS', KEYS[4])) do
    local era = tonumber(string.match(field, '^(%d+):'))
    if era and era < now - ARGV[4] then redis.call('HDEL', KEYS[4], field) end
  end
  redis.call('HSET', KEYS[4], 'shards', ARGV[3])
  redis.call('SET', KEYS[5], ARGV[3])
end
local era = tonumber(redis.call('HGET', KEYS[4], 'now'))
return {tonumber(redis.call('HGET', KEYS[1], 'fence')), tonumber(ARGV[2]), ARGV[3], era}
