#!lua flags=allow-oom
-- The circuit of one egress address: invalid requests of ten minutes, and Cloudflare's blocks. All bots of an address
-- share it, so it has a hash tag of its own. An application may use half of what the others leave of the budget, so that
-- one alone cannot spend what all need.
-- KEYS[1] cells hash: ten-second cell -> invalid requests
-- KEYS[2] breaker hash: until, step, probing, since (of a block), spent (when the budget was), in us
-- KEYS[3] cells hash of the application   KEYS[4] hash: application -> "invalid requests cell", of those with most
-- ARGV[1] now_us or ''   ARGV[2] 'count' | 'blocked' | 'probe' | 'works'   ARGV[3] how many, or retry_us (0 = unknown)
-- ARGV[4] channel of all workers   ARGV[5] application, '' for none   ARGV[6] invalid requests at which nothing is sent
-- returns {invalid requests in ten minutes, us until the circuit half-opens or 0, 1 if half open, 1 if this may probe,
--   us until the budget has room or 0, us until the application's share has room or 0, us since the circuit opened or 0,
--   {application, invalid requests, 1 if its share is used, ...}}
-- Complexity: O(120 + N log N), N <= 32 applications.
local CELL, KEPT, FIRST_STEP, LAST_STEP, PROBE, MAX_APPS = 10000000, 60, 60000000, 3600000000, 10000000, 32
local time = ARGV[1] ~= '' and { 0, ARGV[1] } or redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function integer(value) return string.format('%.0f', value) end
local cell, stop, app = math.floor(now / CELL), tonumber(ARGV[6]), ARGV[5]

local function counted(key)
  local total, kept, cells = 0, {}, redis.call('HGETALL', key)
  for i = 1, #cells, 2 do
    local at, number = tonumber(cells[i]), tonumber(cells[i + 1])
    if at <= cell - KEPT then
      redis.call('HDEL', key, cells[i])
    else
      total = total + number
      kept[#kept + 1] = { at, number }
    end
  end
  redis.call('PEXPIRE', key, 660000)
  return total, kept
end

local function room_in(kept, surplus) -- us until so many are ten minutes old
  table.sort(kept, function(a, b) return a[1] < b[1] end)
  for _, each in ipairs(kept) do
    surplus = surplus - each[2]
    if surplus <= 0 then return (each[1] + KEPT) * CELL - now end
  end
  return KEPT * CELL
end

local function share(total, own) return math.floor((stop - (total - own)) / 2) end

local number = ARGV[2] == 'count' and tonumber(ARGV[3]) or 0
if number > 0 then
  redis.call('HINCRBY', KEYS[1], cell, number)
  if app ~= '' then redis.call('HINCRBY', KEYS[3], cell, number) end
end
local total, kept = counted(KEYS[1])
local own, own_kept = 0, {}
if app ~= '' then own, own_kept = counted(KEYS[3]) end
if number > 0 and app ~= '' then
  redis.call('HSET', KEYS[4], app, own .. ' ' .. integer(cell))
  redis.call('PEXPIRE', KEYS[4], 660000)
end

local worst, pairs_of = {}, redis.call('HGETALL', KEYS[4])
for i = 1, #pairs_of, 2 do
  local used, at = pairs_of[i + 1]:match('^(%d+) (%d+)$')
  if tonumber(at) <= cell - KEPT then
    redis.call('HDEL', KEYS[4], pairs_of[i])
  else
    worst[#worst + 1] = { pairs_of[i], tonumber(used) }
  end
end
table.sort(worst, function(a, b) return a[2] > b[2] or (a[2] == b[2] and a[1] < b[1]) end)
for i = #worst, MAX_APPS + 1, -1 do redis.call('HDEL', KEYS[4], table.remove(worst)[1]) end

local b = redis.call('HMGET', KEYS[2], 'until', 'step', 'probing', 'since', 'spent')
local till, step, probing = tonumber(b[1]) or 0, tonumber(b[2]) or 0, tonumber(b[3]) or 0
local since, spent = tonumber(b[4]) or 0, tonumber(b[5]) or 0
local may_probe = 0
if ARGV[2] == 'blocked' and now + tonumber(ARGV[3]) >= till then
  if till <= now then -- calls that were in flight report the same block
    if step == 0 then since = now end
    step = math.min(step > 0 and step * 2 or FIRST_STEP, LAST_STEP)
    till = now + step
  end
  till = math.max(till, now + tonumber(ARGV[3]))
  redis.call('HSET', KEYS[2], 'until', integer(till), 'step', integer(step), 'probing', 0, 'since', integer(since))
  redis.call('PEXPIRE', KEYS[2], integer((till - now) / 1000 + 7200000))
  redis.call('PUBLISH', ARGV[4], cjson.encode({ KEYS[1], { 'C', '', integer(till - now) } }))
elseif ARGV[2] == 'works' and till <= now then
  redis.call('HDEL', KEYS[2], 'until', 'step', 'probing', 'since')
  step, since = 0, 0
  redis.call('PUBLISH', ARGV[4], cjson.encode({ KEYS[1], { 'C', '', '0' } }))
elseif ARGV[2] == 'probe' and till <= now and probing <= now then
  redis.call('HSET', KEYS[2], 'probing', integer(now + PROBE))
  may_probe = 1
end
local spent_us = 0
if total >= stop then
  spent_us = room_in(kept, total - stop + 1)
  if spent == 0 then
    spent = now
    redis.call('HSET', KEYS[2], 'spent', integer(now))
    redis.call('PEXPIRE', KEYS[2], integer(math.max(0, till - now) / 1000 + 7200000))
  end
elseif spent > 0 then
  spent = 0
  redis.call('HDEL', KEYS[2], 'spent')
end
local own_us = own > 0 and own >= share(total, own) and room_in(own_kept, own - share(total, own) + 1) or 0
local opened = step > 0 and since or spent
local apps = {}
for i = 1, #worst do
  apps[3 * i - 2], apps[3 * i - 1] = worst[i][1], worst[i][2]
  apps[3 * i] = worst[i][2] >= share(total, worst[i][2]) and 1 or 0
end
return { total, till > now and integer(till - now) or '0', (step > 0 and till <= now) and 1 or 0, may_probe,
  integer(spent_us), integer(own_us), opened > 0 and integer(now - opened) or '0', apps }
