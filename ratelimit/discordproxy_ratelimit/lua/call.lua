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
local now, G = 0, { before = {} }
local buckets, lanes, grants, published = {}, {}, {}, 0
local sizes, routes, touched, blocks = {}, {}, {}, nil

local function integer(value) return string.format('%.0f', value) end

-- A server that is not the one we knew may have forgotten anything: its places and permits are void, its buckets
-- unknown, and the last second counts as full until the workers have told what they remember.
local function forget()
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[8])
  sizes = {}
  G.waiting, G.recover, G.clock, G.told = 0, now + SECOND, 0, server
  G.run = server .. '@' .. integer(now)
end

local TEXTS = { 'finish', 'run', 'server', 'told' }
local NUMBERS = { 'recover', 'clock', 'seq', 'blocked', 'shrink', 'shrunk', 'rtt', 'rtt_old', 'rtt_at', 'rtts', 'phase',
  'crowd', 'waiting', 'v', 'kept' }

-- Writes what has changed only: most of a state stays as it is from call to call.
local function save(key, before, after)
  local fields = {}
  for name, value in pairs(after) do
    if before[name] ~= value then fields[#fields + 1] = name; fields[#fields + 1] = value end
  end
  for name, value in pairs(before) do
    if value and after[name] == nil then redis.call('HDEL', key, name) end
  end
  if #fields > 0 then redis.call('HSET', key, unpack(fields)) end
  return #fields > 0
end

local function open_call()
  local time = ARGV[1] ~= '' and { 0, ARGV[1] } or redis.call('TIME')
  now = tonumber(time[1]) * SECOND + tonumber(time[2])
  local names = { unpack(TEXTS) }
  for _, name in ipairs(NUMBERS) do names[#names + 1] = name end
  local f = redis.call('HMGET', KEYS[1], unpack(names))
  for i, name in ipairs(names) do
    G.before[name] = f[i]
    G[name] = i > #TEXTS and (tonumber(f[i]) or 0) or f[i]
  end
  G.finish = G.finish and cjson.decode(G.finish) or {}
  local clock_fell_back = G.clock - now > 10 * SECOND
  if clock_fell_back or (G.server and G.server ~= server) or (ARGV[4] == '1' and G.told ~= server) then forget() end
  now = math.max(now, G.clock)
  G.server, G.run, G.clock = server, G.run or server .. '@0', now
  run = G.run
  redis.call('ZADD', KEYS[5], integer(now + lease_us), me)
end

-- No key lives without a TTL: what this call touched gets a new one, the rest once a minute.
local function close_call()
  local after = { finish = next(G.finish) and cjson.encode(G.finish) or '{}' }
  local all = now - G.kept > MINUTE
  if all then G.kept = now end
  for _, name in ipairs({ 'run', 'server', 'told' }) do after[name] = G[name] or '' end
  for _, name in ipairs(NUMBERS) do after[name] = string.format('%.17g', G[name]) end
  save(KEYS[1], G.before, after)
  touched[KEYS[1]], touched[KEYS[5]] = true, true
  for i = 1, 8 do
    if all or touched[KEYS[i]] then redis.call('PEXPIRE', KEYS[i], (i == 6 or i == 7) and 86400000 or 3600000) end
  end
end

-- Sorted sets whose size this call knows without asking again.
local function size(key)
  if not sizes[key] then sizes[key] = redis.call('ZCARD', key) end
  return sizes[key]
end

local function put(key, score, member)
  local before = size(key)
  if before == 0 then touched[key] = true end
  sizes[key] = before + redis.call('ZADD', key, score, member)
end

local function take_out(key, member)
  local before = size(key)
  local removed = redis.call('ZREM', key, member)
  sizes[key] = before - removed
  return removed
end

local function route_hash(route)
  if routes[route] == nil then routes[route] = redis.call('HGET', KEYS[6], route) end
  return routes[route]
end

local function learn_route(route, hash)
  routes[route], touched[KEYS[6]] = hash, true
  redis.call('HSET', KEYS[6], route, hash)
end

local function blocked(name)
  if blocks == nil then blocks = redis.call('HLEN', KEYS[7]) end
  return blocks > 0 and redis.call('HGET', KEYS[7], name) or nil
end
