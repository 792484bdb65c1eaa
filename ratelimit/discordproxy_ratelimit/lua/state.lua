#!lua flags=allow-oom
-- The broker's script, part 1: what one call knows. The parts are joined in the order of store.PARTS.
--
-- One call applies a batch of transitions of one account (a credential: the bot, an address, a bearer token) in
-- one atomic step. Tables are loaded once per call and written back once at its end.
--
-- KEYS[1] g       hash    global limit, clock, counters   KEYS[6] routes  hash  route name -> bucket hash, '-' = none
-- KEYS[2] slots   zset    global slots -> free_at_us      KEYS[7] blocks  hash  name -> 'until_us kind status code'
-- KEYS[3] paced   zset    the evenly spaced global slots  KEYS[8] gq      zset  permits that lack a global slot only
-- KEYS[4] held    hash    id -> record of every place and permit
-- KEYS[5] workers zset    worker -> lease end_us          then four per item: lane, queue, bucket, learned bucket
-- ARGV[1] now_us or '' (Redis TIME)   ARGV[2] worker   ARGV[3] run id of the server   ARGV[4] '1' = lost its memory
-- ARGV[5] global limit   ARGV[6] lease_us   ARGV[7] channel prefix   ARGV[8] items, JSON
-- returns {per item replies, grants for this worker, us until the next global slot or '', whether its permit is this
--   worker's, a dead worker or '', hints published}
-- Complexity: O(log n) per item and grant; nothing here loops over a queue.
local SECOND, MINUTE = 1000000, 60000000
local IN_FLIGHT = 1e17 -- score of a slot whose request is not answered yet
local me, server, lease_us, channels = ARGV[2], ARGV[3], tonumber(ARGV[6]), ARGV[7]
local run -- names one life of the state; whatever carries another one is void
local now, G = 0, {}
local buckets, lanes, grants, published = {}, {}, {}, 0

local function integer(value) return string.format('%.0f', value) end

-- A server that is not the one we knew may have forgotten anything: its places and permits are void, its buckets
-- unknown, and the last second counts as full until the workers have told what they remember.
local function forget()
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[8])
  G.waiting, G.recover, G.clock, G.told = 0, now + SECOND, 0, server
  G.run = server .. '@' .. integer(now)
end

local TEXTS = { 'run', 'server', 'told' }
local NUMBERS = { 'recover', 'clock', 'seq', 'blocked', 'shrink', 'shrunk', 'rtt', 'rtt_old', 'rtt_at', 'rtts', 'phase', 'waiting', 'v' }

local function open_call()
  local time = ARGV[1] ~= '' and { 0, ARGV[1] } or redis.call('TIME')
  now = tonumber(time[1]) * SECOND + tonumber(time[2])
  local names = { 'finish', unpack(TEXTS) }
  for _, name in ipairs(NUMBERS) do names[#names + 1] = name end
  local f = redis.call('HMGET', KEYS[1], unpack(names))
  for i, name in ipairs(names) do G[name] = i > 1 + #TEXTS and (tonumber(f[i]) or 0) or f[i] end
  G.finish = G.finish and cjson.decode(G.finish) or {}
  local clock_fell_back = G.clock - now > 10 * SECOND
  if clock_fell_back or (G.server and G.server ~= server) or (ARGV[4] == '1' and G.told ~= server) then forget() end
  now = math.max(now, G.clock)
  G.server, G.run, G.clock = server, G.run or server .. '@0', now
  run = G.run
  redis.call('ZADD', KEYS[5], integer(now + lease_us), me)
end

local function close_call()
  local fields = { 'finish', next(G.finish) and cjson.encode(G.finish) or '{}' }
  for _, name in ipairs(TEXTS) do fields[#fields + 1] = name; fields[#fields + 1] = G[name] or '' end
  for _, name in ipairs(NUMBERS) do fields[#fields + 1] = name; fields[#fields + 1] = string.format('%.17g', G[name]) end
  redis.call('HSET', KEYS[1], unpack(fields))
  for i = 1, 8 do redis.call('PEXPIRE', KEYS[i], i >= 6 and i <= 7 and 86400000 or 3600000) end
end

-- A bucket: limit, remaining, reset (us, an upper bound on our clock; 0 = a window whose end no answer has told yet),
-- rid (Discord's Reset in ms: identity and order, never a clock), leaky ('1', '0' or nil = not known), step (us per
-- token of a leaky one), period (us of a fixed window), opened (us), infl (sent or about to be, not answered), heads.
local function bucket(key)
  local b = buckets[key]
  if b then return b end
  local f = redis.call('HMGET', key, 'run', 'limit', 'remaining', 'reset', 'rid', 'leaky', 'step', 'period', 'opened',
    'infl', 'heads')
  b = { key = key, infl = 0, heads = {} }
  if f[1] == run then
    b.leaky = f[6] ~= '' and f[6] or nil
    b.heads = f[11] and f[11] ~= '' and cjson.decode(f[11]) or {}
    b.limit, b.remaining, b.reset, b.rid = tonumber(f[2]), tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
    b.step, b.period, b.opened, b.infl = tonumber(f[7]), tonumber(f[8]), tonumber(f[9]) or 0, tonumber(f[10])
  end
  buckets[key] = b
  return b
end

local function save_bucket(b)
  local fields = { 'run', run, 'infl', b.infl, 'heads', next(b.heads) and cjson.encode(b.heads) or '' }
  if b.limit then
    for _, name in ipairs({ 'limit', 'remaining', 'reset', 'rid', 'step', 'period', 'opened' }) do
      if b[name] then fields[#fields + 1] = name; fields[#fields + 1] = integer(b[name]) end
    end
    fields[#fields + 1] = 'leaky'; fields[#fields + 1] = b.leaky or ''
  end
  redis.call('HSET', b.key, unpack(fields))
  redis.call('PEXPIRE', b.key, integer((math.max(b.reset or 0, now) - now + MINUTE + lease_us) / 1000))
end

-- A lane: the calls of one route and major parameter. They wait in one queue, whatever bucket they turn out to share.
local function lane(name, key, queue)
  local l = lanes[key]
  if l then return l end
  local f = redis.call('HGETALL', key)
  l = { name = name, key = key, queue = queue, infl = 0, v = 0, finish = {} }
  local fields = {}
  for i = 1, #f, 2 do fields[f[i]] = f[i + 1] end
  if fields.run == run then
    l.infl, l.v = tonumber(fields.infl), tonumber(fields.v)
    for field, value in pairs(fields) do
      if field:sub(1, 2) == 'f:' then l.finish[field:sub(3)] = tonumber(value) end
    end
  elseif fields.run then
    redis.call('UNLINK', queue)
  end
  local paused = redis.call('HGET', KEYS[7], name)
  l.paused = paused and tonumber(paused:match('^%d+')) or 0
  lanes[key] = l
  return l
end

local function save_lane(l)
  redis.call('UNLINK', l.key)
  if l.infl == 0 and redis.call('EXISTS', l.queue) == 0 then return end
  local fields = { 'run', run, 'infl', l.infl, 'v', tostring(l.v) }
  for app, finish in pairs(l.finish) do
    if finish > l.v then fields[#fields + 1] = 'f:' .. app; fields[#fields + 1] = tostring(finish) end
  end
  redis.call('HSET', l.key, unpack(fields))
  redis.call('PEXPIRE', l.key, 3600000)
  redis.call('PEXPIRE', l.queue, 3600000)
end
