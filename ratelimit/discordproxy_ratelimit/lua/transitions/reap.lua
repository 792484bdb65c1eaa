#!lua flags=allow-oom
-- Finds what a dead worker held, a bounded step at a time; the caller reaps it in batches.
-- KEYS[1] held hash   KEYS[2] workers zset
-- ARGV[1] the dead worker   ARGV[2] cursor   ARGV[3] '1' when a whole scan has found nothing: remove the worker, unless it has called again
-- ARGV[4] now_us or ''
-- returns {next cursor, {id, route, lane, bucket name, ...}}
-- Complexity: O(500) a call.
if ARGV[3] == '1' then
  local time = ARGV[4] ~= '' and { 0, ARGV[4] } or redis.call('TIME')
  local lease_end = redis.call('ZSCORE', KEYS[2], ARGV[1])
  local woke_up = lease_end and tonumber(lease_end) > tonumber(time[1]) * 1000000 + tonumber(time[2])
  if not woke_up then redis.call('ZREM', KEYS[2], ARGV[1]) end
  return { '0', {} }
end
local scan = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', 500)
local found = {}
for i = 1, #scan[2], 2 do
  local worker, lane, bucket = cmsgpack.unpack(scan[2][i + 1])
  if worker == ARGV[1] then
    for _, value in ipairs({ scan[2][i], lane:match('^(.*)|'), lane, bucket }) do found[#found + 1] = value end
  end
end
return { scan[1], found }
