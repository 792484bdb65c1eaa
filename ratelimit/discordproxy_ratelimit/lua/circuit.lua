#!lua flags=allow-oom
-- The circuit of one egress address: invalid requests of ten minutes, and Cloudflare's blocks. All bots of an address
-- share it, so it has a hash tag of its own.
-- KEYS[1] cells hash: ten-second cell -> invalid requests   KEYS[2] breaker hash: until, step, probing (us)
-- ARGV[1] now_us or ''   ARGV[2] 'count' | 'blocked' | 'probe' | 'works'   ARGV[3] how many, or retry_us (0 = not told)
-- ARGV[4] channel of all workers
-- returns {invalid requests in ten minutes, us until the circuit half-opens or 0, 1 if half open, 1 if this may probe}
-- Complexity: O(60).
local CELL, KEPT, FIRST_STEP, LAST_STEP, PROBE = 10000000, 60, 60000000, 3600000000, 10000000
local time = ARGV[1] ~= '' and { 0, ARGV[1] } or redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function integer(value) return string.format('%.0f', value) end
local cell = math.floor(now / CELL)
if ARGV[2] == 'count' then redis.call('HINCRBY', KEYS[1], cell, ARGV[3]) end
local total, cells = 0, redis.call('HGETALL', KEYS[1])
for i = 1, #cells, 2 do
  if tonumber(cells[i]) <= cell - KEPT then
    redis.call('HDEL', KEYS[1], cells[i])
  else
    total = total + tonumber(cells[i + 1])
  end
end
redis.call('PEXPIRE', KEYS[1], 660000)
local b = redis.call('HMGET', KEYS[2], 'until', 'step', 'probing')
local till, step, probing = tonumber(b[1]) or 0, tonumber(b[2]) or 0, tonumber(b[3]) or 0
local may_probe = 0
if ARGV[2] == 'blocked' and now + tonumber(ARGV[3]) >= till then
  if till <= now then -- answers of calls that were in flight tell of the same block
    step = math.min(step > 0 and step * 2 or FIRST_STEP, LAST_STEP)
    till = now + step
  end
  till = math.max(till, now + tonumber(ARGV[3]))
  redis.call('HSET', KEYS[2], 'until', integer(till), 'step', integer(step), 'probing', 0)
  redis.call('PEXPIRE', KEYS[2], integer((till - now) / 1000 + 7200000))
  redis.call('PUBLISH', ARGV[4], cjson.encode({ KEYS[1], { 'C', '', integer(till - now) } }))
elseif ARGV[2] == 'works' and till <= now then
  redis.call('UNLINK', KEYS[2])
  step = 0
  redis.call('PUBLISH', ARGV[4], cjson.encode({ KEYS[1], { 'C', '', '0' } }))
elseif ARGV[2] == 'probe' and till <= now and probing <= now then
  redis.call('HSET', KEYS[2], 'probing', integer(now + PROBE))
  may_probe = 1
end
return { total, till > now and integer(till - now) or '0', (step > 0 and till <= now) and 1 or 0, may_probe }
