-- Part 8: the global limit. It has G slots, and a slot is free again one second after its *answer*: two requests of one
-- slot then reach Discord at least a second apart, whatever the latency, and no second sees more than G of them.
-- A fifth of the slots leaves evenly spaced as long as a long backlog waits, or nobody knows yet how long it gets, so
-- that an urgent call never waits for the next burst of the others.
local LONG_BACKLOG = 12 -- seconds of the global limit
local GATHERING = SECOND / 20 -- how long a crowd may take to show its size

local function global_limit()
  local quiet = math.floor((now - G.shrunk) / MINUTE)
  if G.shrink > 0 and quiet > 0 then
    G.shrink, G.shrunk = math.max(0, G.shrink - quiet), now
  end
  local limit = tonumber(ARGV[5])
  return math.max(1, math.floor(limit * (1 - 0.1 * math.min(G.shrink, 5))))
end

local function tidy_slots()
  if G.tidy then return end
  G.tidy = true
  for _, key in ipairs({ KEYS[2], KEYS[3] }) do
    if redis.call('ZREMRANGEBYSCORE', key, '-inf', integer(now)) > 0 then sizes[key] = nil end
  end
end

local function occupied()
  tidy_slots()
  return size(KEYS[2]) + size(KEYS[3])
end

local function earliest(key)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  local at = tonumber(first[2])
  return at and at < IN_FLIGHT and at or nil
end

-- returns the set a slot was taken from; else nil and the instant one can be, nil if only an answer can tell
local function take_slot(id, urgent)
  local blocked = math.max(G.blocked, G.recover)
  if now < blocked then return nil, blocked end
  tidy_slots()
  local limit = global_limit()
  local spaced = limit >= 5 and math.floor(limit / 5) or 0
  if size(KEYS[2]) < limit - spaced then
    put(KEYS[2], IN_FLIGHT, id)
    return KEYS[2]
  end
  local known = size(KEYS[8]) > 0 and now - G.crowd >= GATHERING
  local hurry = urgent or (known and G.waiting <= LONG_BACKLOG * limit)
  if spaced > 0 and size(KEYS[3]) < spaced and (hurry or now >= G.phase) then
    put(KEYS[3], IN_FLIGHT, id)
    if not hurry then G.phase = math.max(now, G.phase) + SECOND / spaced end
    return KEYS[3]
  end
  local a, b = earliest(KEYS[2]), spaced > 0 and earliest(KEYS[3]) or nil
  if spaced > 0 and size(KEYS[3]) < spaced then
    b = G.phase
  elseif b and not hurry then
    b = math.max(b, G.phase)
  end
  return nil, (a and b) and math.min(a, b) or a or b
end

local function free_slot(id, record, free_at)
  local key = record.spaced and KEYS[3] or KEYS[2]
  if free_at and free_at > now then redis.call('ZADD', key, 'XX', integer(free_at), id) else take_out(key, id) end
end
