#!lua flags=allow-oom
-- The status that each worker publishes, and the counters of all workers together.
-- KEYS[1] seen zset: worker -> last post, ms   KEYS[2] posts hash: worker -> document
-- KEYS[3] and on: ticks, hashes name -> number; the present one to post, any number of them to read
-- ARGV[1] 'post' | 'read'   ARGV[2] now_ms or ''   ARGV[3] ms after which a post is void
-- post only: ARGV[4] worker   ARGV[5] document, '' takes the post down   ARGV[6] ms a tick is kept
-- ARGV[7] and on: what to add to the tick: name, number, name, number
-- returns now_ms after a post; {now_ms, {worker, document, ...}, {{name, number, ...} of each tick}} after reading
-- Complexity: O(names) to post, O(posts + names) to read.
local MAX_NAMES = 1000 -- of a tick: callers name themselves
local time = ARGV[2] ~= '' and { 0, ARGV[2] * 1000 } or redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local void = string.format('(%.0f', now - ARGV[3])
local function take_down(worker)
  redis.call('HDEL', KEYS[2], worker)
  redis.call('ZREM', KEYS[1], worker)
end
-- Each worker posts every second, so one at a time is enough.
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', void, 'LIMIT', 0, 1)[1]
if gone then take_down(gone) end
if ARGV[1] == 'post' then
  if ARGV[5] == '' then
    take_down(ARGV[4])
  else
    redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
    redis.call('ZADD', KEYS[1], now, ARGV[4])
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
  if ARGV[7] and redis.call('HLEN', KEYS[3]) < MAX_NAMES then
    for i = 7, #ARGV, 2 do redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[i + 1]) end
    redis.call('PEXPIRE', KEYS[3], ARGV[6])
  end
  return now
end
local ticks = {}
for i = 3, #KEYS do ticks[#ticks + 1] = redis.call('HGETALL', KEYS[i]) end
return { now, redis.call('HGETALL', KEYS[2]), ticks }
