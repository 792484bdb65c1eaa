#!lua flags=allow-oom
-- Looks at one account's limits without changing anything; the layout is that of call.lua and state.lua.
-- KEYS[1] g hash   KEYS[2] slots zset   KEYS[3] paced zset   KEYS[4] held hash   KEYS[5] gq zset
-- KEYS[6] and on: bucket hashes
-- ARGV[1] now_us or ''
-- returns {now_us, {blocked, shrink, shrunk}, global slots taken, calls that wait for one only, places and permits held,
--   {{limit, remaining, reset, leaky, step, permits granted} of each bucket}}, '' where nothing is known
-- Complexity: O(buckets).
local time = ARGV[1] ~= '' and { 0, ARGV[1] } or redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
local g = redis.call('HMGET', KEYS[1], 'run', 'blocked', 'shrink', 'shrunk')
local taken = redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') + redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf')
local buckets = {}
for i = 6, #KEYS do
  local f = redis.call('HMGET', KEYS[i], 'run', 'limit', 'remaining', 'reset', 'leaky', 'step', 'infl')
  local known = {}
  for j = 2, 7 do known[j - 1] = f[1] == g[1] and f[j] or '' end
  buckets[#buckets + 1] = known
end
local numbers = { g[2] or '', g[3] or '', g[4] or '' }
return { now, numbers, taken, redis.call('ZCARD', KEYS[5]), redis.call('HLEN', KEYS[4]), buckets }
