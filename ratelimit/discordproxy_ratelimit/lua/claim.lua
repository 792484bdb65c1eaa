#!lua flags=allow-oom
-- An idempotency key: the first call claims it and settles its result, the others learn of it. The claim is the
-- owner's for as long as it shows signs of life; before something leaves that nobody may do twice, its doubt is noted.
-- KEYS[1] hash: request, owner, result, alive_until (ms, Redis' clock; gone once settled)
-- ARGV[1] 'claim' | 'leave' | 'settle' | 'release'   ARGV[2] fingerprint of the request   ARGV[3] owner
-- ARGV[4] lease_ms, 'settle': ttl_ms   ARGV[5] result, 'leave': what stays if the owner dies   ARGV[6] 'leave': ttl_ms
-- returns {'ours' | 'pending' | 'settled' | 'other', result}
-- Complexity: O(1).
local command, request, owner = ARGV[1], ARGV[2], ARGV[3]
local kept = redis.call('HMGET', KEYS[1], 'request', 'owner', 'result', 'alive_until')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = kept[4] and tonumber(kept[4]) > now
local mine = kept[2] == owner and kept[4]

if command == 'release' then
  if mine then redis.call('UNLINK', KEYS[1]) end
  return { 'ours', '' }
end
if kept[1] and kept[1] ~= request then return { 'other', '' } end
if command == 'settle' then
  redis.call('HSET', KEYS[1], 'request', request, 'owner', owner, 'result', ARGV[5])
  redis.call('HDEL', KEYS[1], 'alive_until')
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return { 'ours', '' }
end
if not mine then
  if alive then return { 'pending', '' } end
  if kept[3] then return { 'settled', kept[3] } end
  if command == 'leave' and kept[2] then return { 'pending', '' } end
end
redis.call('HSET', KEYS[1], 'request', request, 'owner', owner, 'alive_until', string.format('%.0f', now + ARGV[4]))
if command == 'leave' then
  redis.call('HSET', KEYS[1], 'result', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
elseif not kept[3] then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return { 'ours', '' }
