#!lua flags=allow-oom
-- Looks at one account's limits without changing anything; the layout is that of call.lua and state.lua.
-- KEYS[1] g (packed)   KEYS[2] slots zset   KEYS[3] paced zset   KEYS[4] held hash   KEYS[5] gq zset
-- KEYS[6] and on: buckets (packed)
-- ARGV[1] now_us or ''
-- returns {now_us, {blocked, shrink, shrunk}, global slots taken, calls that wait for one only, places and permits held,
--   {{limit, remaining, reset, leaky, step, permits granted} of each bucket}}, '' where nothing is known
-- Complexity: O(buckets).
local time = ARGV[1] ~= '' and { 0, ARGV[1] } or redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
local account = redis.call('GET', KEYS[1]) or cmsgpack.pack('')
local life, _, _, _, _, _, blocked, shrink, shrunk = cmsgpack.unpack(account)
local function text(value) return value and string.format('%.0f', value) or '' end
local taken = redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') + redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf')
local buckets = {}
for i = 6, #KEYS do
  local bucket = redis.call('GET', KEYS[i])
  local run, infl, _, limit, remaining, reset, _, leaky, step = cmsgpack.unpack(bucket or cmsgpack.pack(''))
  local known = run == life and bucket
  buckets[#buckets + 1] = known and { text(limit), text(remaining), text(reset), leaky or '', text(step), text(infl) }
    or { '', '', '', '', '', '' }
end
local numbers = { text(blocked), text(shrink), text(shrunk) }
return { now, numbers, taken, redis.call('ZCARD', KEYS[5]), redis.call('HLEN', KEYS[4]), buckets }
