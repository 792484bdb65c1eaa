#!lua flags=allow-oom
-- An idempotency key: the first call claims it and settles its result, the others learn of it.
-- KEYS[1] hash: request, owner, result
-- ARGV[1] 'claim' | 'settle' | 'release'   ARGV[2] fingerprint of the request   ARGV[3] owner   ARGV[4] ttl_ms
-- ARGV[5] result
-- returns {'ours' | 'pending' | 'settled' | 'other', result}
-- Complexity: O(1).
local kept = redis.call('HMGET', KEYS[1], 'request', 'owner', 'result')
if ARGV[1] == 'release' then
  if kept[2] == ARGV[3] and not kept[3] then redis.call('UNLINK', KEYS[1]) end
  return { 'ours', '' }
end
if kept[1] and kept[1] ~= ARGV[2] then return { 'other', '' } end
if ARGV[1] == 'settle' then
  redis.call('HSET', KEYS[1], 'request', ARGV[2], 'owner', ARGV[3], 'result', ARGV[5])
elseif kept[3] then
  return { 'settled', kept[3] }
elseif kept[2] and kept[2] ~= ARGV[3] then
  return { 'pending', '' }
else
  redis.call('HSET', KEYS[1], 'request', ARGV[2], 'owner', ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return { 'ours', '' }
