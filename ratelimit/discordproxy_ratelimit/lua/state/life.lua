-- Part 3: how a call begins and ends. `run` names one life of the state; a server that lost its data begins another one.

-- The account's state, packed in this order: run, server, lost_server (the server whose loss of data was handled),
-- recover, clock, seq, blocked, shrink, shrunk, there, there_old, back, back_old, ways, ways_at, phase, rush, arrived,
-- waiting (places of all lanes and of the global line), v, finish, kept (when all keys got their TTL), tidied (when free slots
-- were removed), first_end (a lower bound of the earliest lease end), and sizes, nil if they must be looked up: slots,
-- paced, queued (of KEYS[2], [3], [8]), held, blocks, limited (of KEYS[4], [7], [9]); then singles, shared, pace (see slots.lua),
-- past, mark, marked (see queue.lua), reaped and reaped_until (the dead worker that was reported last, and until when no
-- other worker gets it to reap).
local REAPING = SECOND
local function new_state()
  return { recover = 0, clock = 0, seq = 0, blocked = 0, shrink = 0, shrunk = 0, there = 0, there_old = 0, back = 0,
    back_old = 0, ways = 0, ways_at = 0, phase = 0, rush = 0, arrived = 0, waiting = 0, v = 0, finish = {}, kept = 0,
    tidied = 0, first_end = 0, singles = {}, shared = 0, pace = 0,
    past = 0, mark = 0, marked = 0, reaped_until = 0 }
end

local function load_state()
  local packed = redis.call('GET', KEYS[1])
  if not packed then return new_state() end
  local life, of_server, lost_server, recover, clock, seq, blocked, shrink, shrunk, there, there_old, back, back_old, ways,
    ways_at, phase, rush, arrived, waiting, v, finish, kept, tidied_at, first_end, slots, paced, queued, held, blocks,
    limited, singles, shared, pace, past, mark, marked, reaped, reaped_until = cmsgpack.unpack(packed)
  sizes[KEYS[2]], sizes[KEYS[3]], sizes[KEYS[8]] = slots, paced, queued
  return { run = life, server = of_server, lost_server = lost_server, recover = recover, clock = clock, seq = seq, blocked = blocked,
    shrink = shrink, shrunk = shrunk, there = there, there_old = there_old, back = back, back_old = back_old, ways = ways,
    ways_at = ways_at, phase = phase, rush = rush, arrived = arrived, waiting = waiting, v = v, finish = finish,
    kept = kept, tidied = tidied_at, first_end = first_end, held = held, blocks = blocks, limited = limited,
    singles = singles or {}, shared = shared or 0, pace = pace or 0, past = past or v, mark = mark or v, marked = marked or 0,
    reaped = reaped, reaped_until = reaped_until or 0 }
end

local function save_state()
  local packed = cmsgpack.pack(G.run, G.server, G.lost_server, G.recover, G.clock, G.seq, G.blocked, G.shrink, G.shrunk, G.there,
    G.there_old, G.back, G.back_old, G.ways, G.ways_at, G.phase, G.rush, G.arrived, G.waiting, G.v, G.finish, G.kept,
    G.tidied, G.first_end, sizes[KEYS[2]], sizes[KEYS[3]], sizes[KEYS[8]], G.held, G.blocks, G.limited,
    G.singles, G.shared, G.pace, G.past, G.mark, G.marked, G.reaped, G.reaped_until)
  store(KEYS[1], packed, G.kept == now and SHORT_TTL)
end

-- Another server than before may have lost any data: its places and permits are void, its buckets
-- unknown, and the last second counts as full until the workers have restored what they have cached.
local function reset_state()
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[8])
  sizes = {}
  G.waiting, G.recover, G.clock, G.lost_server = 0, now + SECOND, 0, server
  G.held, G.first_end, G.kept, G.tidied = 0, 0, 0, 0
  G.phase, G.singles, G.shared, G.pace, G.past, G.marked = 0, {}, 0, 0, G.v, 0 -- instants of another clock
  G.reaped_until = 0
  G.run = server .. '@' .. integer(now)
end

-- A lease lasts at least `lease_us` after each call. A longer one is granted now and then instead of with each call.
local function renew_lease()
  local lease_end = tonumber(redis.call('ZSCORE', KEYS[5], me) or 0)
  was_expired = lease_end <= now -- so others may have given back what it held
  if lease_end >= now + lease_us then return end
  local renewed = now + math.floor(lease_us * 1.125)
  redis.call('ZADD', KEYS[5], integer(renewed), me)
  touched[KEYS[5]] = touched[KEYS[5]] or was_expired
  G.first_end = math.min(G.first_end, renewed)
end

-- returns a worker whose lease has ended, or '', and us until a call may report another one. One worker reaps it.
local function dead_worker()
  if G.first_end > now then return '', G.first_end - now end
  local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
  local worker = first[1]
  G.first_end = tonumber(first[2] or now)
  if G.first_end > now then return '', G.first_end - now end
  if worker == G.reaped and now < G.reaped_until then return '', G.reaped_until - now end
  if worker then G.reaped, G.reaped_until = worker, now + REAPING end
  return worker or '', 0
end

local function open_call()
  local time = ARGV[1] ~= '' and { 0, ARGV[1] } or redis.call('TIME')
  now = tonumber(time[1]) * SECOND + tonumber(time[2])
  G = load_state()
  local clock_fell_back = G.clock - now > 10 * SECOND
  local another = ARGV[4] ~= 'kept' and G.server and G.server ~= server
  if clock_fell_back or another or (ARGV[4] == '1' and G.lost_server ~= server) then reset_state() end
  now = math.max(now, G.clock)
  G.server, G.run, G.clock = server, G.run or server .. '@0', now
  run = G.run
  renew_lease()
end

-- No key lives without a TTL: what this call created gets one, and all get a new one once a minute. Then what is counted
-- is counted anew, too, in case a server has evicted something.
local function keep_keys()
  local all = now - G.kept > MINUTE
  if all then
    G.kept, G.held, G.blocks, G.limited = now, nil, nil, nil
    sizes[KEYS[2]], sizes[KEYS[3]], sizes[KEYS[8]] = nil, nil, nil
  end
  if not (all or next(touched)) then return end
  for i = 2, 9 do
    local lasting = i == 6 or i == 7 or i == 9
    if all or touched[KEYS[i]] then redis.call('PEXPIRE', KEYS[i], lasting and LONG_TTL or SHORT_TTL) end
  end
end

local function close_call()
  keep_keys()
  save_state()
end
