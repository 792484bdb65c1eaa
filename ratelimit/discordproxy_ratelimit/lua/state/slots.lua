-- Part 9: the global limit. It has G slots, and a slot is free again one second after its *answer*: two requests of one
-- slot then reach Discord at least a second apart, whatever the latency, and no second sees more than G of them.
-- A fifth of the slots leaves evenly spaced as long as a long backlog waits, or while its length is not known yet, so
-- that an urgent call never waits for the next burst of the others. All leave evenly spaced while an application comes
-- with one call at a time: it waits for each response, so bursts of the others would leave it a call or two a second.
-- singles: applications whose call came alone, and when; shared: when that happened again within ONE_BY_ONE;
-- pace: the instant of the next slot that is not among the fifth
local LONG_BACKLOG = 12 -- seconds of the global limit
local GATHERING = SECOND / 20 -- time in which a rush of calls shows its size; longer while it
local CALM, FAST = SECOND / 50, 30 -- has not paused for CALM and grows by FAST seconds of the limit per second
-- How early a slot may be granted: then the call that reports one answer also serves the next waiting call, and no
-- separate script call is needed. A spaced slot is granted less early, because an urgent call may need it.
local AHEAD, SOON = SECOND / 10, SECOND / 50
local LEAD = SECOND / 100 -- a worker calls so much before the start of a slot that is not spaced
local ONE_BY_ONE, MAX_SINGLES = 5 * SECOND, 16

local function global_limit()
  local quiet = math.floor((now - G.shrunk) / MINUTE)
  if G.shrink > 0 and quiet > 0 then
    G.shrink, G.shrunk = math.max(0, G.shrink - quiet), now
  end
  if G.shrink == 0 then return most_slots end
  return math.max(1, math.floor(most_slots * (1 - 0.1 * math.min(G.shrink, 5))))
end

-- Removes slots that are free and counts the others anew: once a second, and when their number matters.
local function tidy_slots()
  if tidied then return end
  tidied, G.tidied = true, now
  for _, key in ipairs({ KEYS[2], KEYS[3] }) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', integer(now))
    sizes[key] = nil
  end
end

local function is_half_taken()
  local half = global_limit() / 2
  if size(KEYS[2]) + size(KEYS[3]) < half then return false end
  tidy_slots()
  return size(KEYS[2]) + size(KEYS[3]) >= half
end

-- The instant a slot of a set of so many is free, and whose it is until then. nil: an answer must come first
local function free_instant(key, most)
  if size(key) * 2 >= most or now - G.tidied > SECOND then tidy_slots() end
  if size(key) < most then return now end
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  local at = tonumber(first[2])
  if at and at < IN_FLIGHT then return at, first[1] end
end

local function occupy(key, id, before)
  if before then take_out(key, before) end
  put(key, IN_FLIGHT, id)
  return key
end

-- Whether it is known how long the backlog gets. One that grows fast will be a long one before long.
local function rush_is_measured()
  local age = now - G.rush
  if size(KEYS[8]) == 0 or age < GATHERING then return false end
  return now - G.arrived >= CALM or G.waiting < FAST * global_limit() * age / SECOND
end

-- A call arrives while others wait for a slot and its application has none among them.
local function saw_single(app)
  local last, kept = G.singles[app], 0
  if last and now - last < ONE_BY_ONE then G.shared = now end
  for other, at in pairs(G.singles) do
    if now - at < ONE_BY_ONE then kept = kept + 1 else G.singles[other] = nil end
  end
  if G.singles[app] or kept < MAX_SINGLES then G.singles[app] = now end
end

-- returns the set a slot was taken from and the instant it is free; else nil and the instant of the next attempt,
-- nil if an answer must come first
local function take_slot(id, urgent)
  local blocked = math.max(G.blocked, G.recover)
  if now < blocked then return nil, blocked end
  local limit = global_limit()
  local spaced = limit >= 5 and math.floor(limit / 5) or 0
  local shared = now - G.shared < ONE_BY_ONE
  local a, oldest_a = free_instant(KEYS[2], limit - spaced)
  if a and shared and not urgent then a = math.max(a, G.pace) end
  if a == now then
    if shared then G.pace = math.max(a, G.pace) + SECOND / (limit - spaced) end
    return occupy(KEYS[2], id), now
  end
  local short = G.waiting <= LONG_BACKLOG * limit and not shared and rush_is_measured()
  local b, oldest_b
  if spaced > 0 then b, oldest_b = free_instant(KEYS[3], spaced) end
  if b and not (urgent or short) then b = math.max(b, G.phase) end
  if b and b <= now + SOON and (not a or b <= a) and size(KEYS[3]) <= spaced then
    if not short then G.phase = math.max(b, G.phase) + SECOND / spaced end -- an urgent call takes a turn, too
    return occupy(KEYS[3], id, oldest_b), b
  end
  if a and a <= now + (shared and SOON or AHEAD) and size(KEYS[2]) <= limit - spaced then
    if shared then G.pace = math.max(a, G.pace) + SECOND / (limit - spaced) end
    return occupy(KEYS[2], id, oldest_a), a
  end
  a = a and math.max(now, a - LEAD)
  return nil, (a and b) and math.min(a, b) or a or b
end

local function free_slot(id, spaced, free_at)
  local key = spaced and KEYS[3] or KEYS[2]
  if free_at and free_at > now then redis.call('ZADD', key, 'XX', whole(free_at), id) else take_out(key, id) end
end
