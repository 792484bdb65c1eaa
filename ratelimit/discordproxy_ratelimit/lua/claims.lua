#!lua flags=allow-oom
-- An idempotency key: the first call claims it and stores its result for the others. The owner keeps the claim as long as
-- it renews the lease. Before a request leaves that must not be sent twice, the claim is marked as in doubt.
-- The memory of each application is counted, so that its keys cannot fill the shared server.
-- KEYS[1] hash: request, owner, result, alive_until (ms, Redis' clock; gone once settled)
-- KEYS[2] hash of an application, if its keys are counted: part of the time results are kept for -> bytes
-- ARGV[1] 'claim' | 'leave' | 'settle' | 'release'   ARGV[2] fingerprint of the request   ARGV[3] owner
-- ARGV[4] lease_ms, 'settle': ttl_ms   ARGV[5] result, 'leave': what stays if the owner dies   ARGV[6] 'leave': ttl_ms
-- ARGV[7] with KEYS[2]: how long results are kept, ms   ARGV[8] bytes the application may keep
-- returns {'ours' | 'pending' | 'settled' | 'other' | 'full', result}
-- Complexity: O(25) with KEYS[2], else O(1).
local PARTS, KEY_BYTES = 24, 512 -- of a key without its result, roughly
local command, request, owner = ARGV[1], ARGV[2], ARGV[3]
local kept = redis.call('HMGET', KEYS[1], 'request', 'owner', 'result', 'alive_until')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = kept[4] and tonumber(kept[4]) > now
local mine = kept[2] == owner and kept[4]

local part = KEYS[2] and math.floor(now / (tonumber(ARGV[7]) / PARTS))
local function takes(bytes)
  redis.call('HINCRBY', KEYS[2], part, bytes)
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
local function taken()
  local total, parts = 0, redis.call('HGETALL', KEYS[2])
  for i = 1, #parts, 2 do
    if tonumber(parts[i]) <= part - PARTS then
      redis.call('HDEL', KEYS[2], parts[i])
    else
      total = total + tonumber(parts[i + 1])
    end
  end
  return total
end

if command == 'release' then
  if mine then
    redis.call('UNLINK', KEYS[1])
    if KEYS[2] then takes(-KEY_BYTES) end
  end
  return { 'ours', '' }
end
if kept[1] and kept[1] ~= request then return { 'other', '' } end
if command == 'settle' then
  if KEYS[2] then takes(#ARGV[5]) end
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
if KEYS[2] and command == 'claim' and not kept[1] then
  if taken() + KEY_BYTES > tonumber(ARGV[8]) then return { 'full', '' } end
  takes(KEY_BYTES)
end
redis.call('HSET', KEYS[1], 'request', request, 'owner', owner, 'alive_until', string.format('%.0f', now + ARGV[4]))
if command == 'leave' then
  redis.call('HSET', KEYS[1], 'result', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
elseif not kept[3] then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return { 'ours', '' }
