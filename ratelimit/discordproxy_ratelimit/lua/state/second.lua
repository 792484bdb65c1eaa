-- Part 5: second limiters. The headers of successes show one limiter of a lane; 429s show others: a resource's, a
-- hidden one, a sub-limit. Each that was met is kept as a rate: so many calls in a period. A call counts for one period
-- from its answer on, which is safe whether Discord's limiter is a fixed window, a sliding or a leaky one.
-- second of a lane: run, log = {{id, sent, answered or 0}, ...}, limiters = {{name, size (0 = unknown), limit (what
-- of it is left for this lane, 0 = not known yet), period, since (instant its window was open again), reported (the last
-- 429), quiet (until when it applies), step}, ...}
local MAX_LOGGED, MAX_LIMITERS, DAY = 256, 3, 86400 * SECOND

local function limited_lanes()
  if not G.limited then G.limited = redis.call('HLEN', KEYS[9]) end
  return G.limited
end

local function second_of(l)
  if l.second == nil then
    local packed = limited_lanes() > 0 and redis.call('HGET', KEYS[9], l.name)
    local s = packed and cmsgpack.unpack(packed) or false
    if s and s.run ~= run then
      s.run, s.log = run, {}
      for _, m in ipairs(s.limiters) do m.since = 0 end
    end
    l.second = s
  end
  return l.second or nil
end

-- How long without a 429 until one more is tried. Less than the 429 shows: others use it, too, and may stop.
local function trust_period(m)
  if m.limit < m.size then return math.max(10 * SECOND, 4 * m.period) end
  return math.max(m.size > 0 and 10 * MINUTE or MINUTE, 10 * m.period)
end

-- Whether one limiter lets a call pass; else the instant it will, nil if an answer must come first. While its size is
-- not known, and after a pause, calls go one by one; each answer doubles what may be in flight.
local function passes(s, m)
  local unanswered, free_at = 0, {}
  for _, entry in ipairs(s.log) do
    if entry[3] == 0 then
      unanswered = unanswered + 1
    elseif entry[3] + m.period > now then
      free_at[#free_at + 1] = entry[3] + m.period
    end
  end
  if unanswered >= (m.limit > 0 and math.max(1, #free_at) or 1) then return false end
  local over = unanswered + #free_at - m.limit + 1
  if m.limit == 0 or over < 1 then return true end
  if now >= m.quiet then -- no 429 for long: it may have grown, or gone
    local more = m.limit + m.step
    m.limit = m.limit < m.size and math.min(more, m.size) or more
    m.step = math.min(m.step * 2, math.max(2, math.floor(m.limit / 8)))
    m.quiet = now + trust_period(m)
    s.changed = true
    return true
  end
  table.sort(free_at)
  return false, free_at[over]
end

-- returns now, or nil and the instant a call of this lane may leave (nil: an answer must come first)
local function second_instant(l)
  local s, at = second_of(l), now
  for _, m in ipairs(s and s.limiters or {}) do
    local free, later = passes(s, m)
    if not free and not later then return nil end
    at = math.max(at, later or now)
  end
  if at > now then return nil, at end
  return now
end

-- Whether a lane pauses, or a limiter of its own lets no call pass now. It changes nothing.
local function is_held_back(name)
  local paused = blocked(name)
  if paused and tonumber(paused:match('^%d+')) > now then return true end
  local s = second_of(lanes[name] or { name = name })
  for _, m in ipairs(s and s.limiters or {}) do
    if now < m.quiet and not passes(s, m) then return true end
  end
  return false
end

local function log_sent(l, id)
  local s = second_of(l)
  if not s then return end
  s.log[#s.log + 1] = { id, now, 0 }
  if #s.log > MAX_LOGGED then table.remove(s.log, 1) end
  s.changed = true
end

-- a: the answer, nil if nothing was sent. What was refused is not counted. returns its entry
local function log_end(l, id, a)
  local s = second_of(l)
  if not s then return nil end
  s.changed = true
  for i, entry in ipairs(s.log) do
    if entry[1] == id then
      if a and (a.rtt_us or 0) > 0 then entry[2] = math.max(entry[2], now - a.age_us - a.rtt_us) end
      if a and not a.refused then entry[3] = math.max(1, now - a.age_us) else table.remove(s.log, i) end
      return entry
    end
  end
end

local function limiter_of(s, name, wait)
  local found
  for _, m in ipairs(s.limiters) do
    local fits = name ~= '' or m.limit == 0 or wait <= 1.25 * m.period
    if m.name == name and fits and (not found or m.period < found.period) then found = m end
  end
  return found
end

-- Instants from `from` on at which calls left that were counted before the refused one, the oldest first
local function sent_since(s, from, refused_at)
  local sent = {}
  for _, entry in ipairs(s.log) do
    if entry[2] >= from and entry[2] <= refused_at then sent[#sent + 1] = entry[2] end
  end
  table.sort(sent)
  return sent
end

-- A call was refused although it had been sent after the last 429 was known: the numbers were wrong, or have changed.
local function correct(s, m, named, wait, refused_at)
  local back = now + wait
  if m.limit == 0 then
    local sent = sent_since(s, m.since, refused_at)
    if #sent > 0 then m.limit, m.period = #sent, math.max(m.period, back - sent[1]) end
    return
  end
  local sent = sent_since(s, named and m.since or back - math.floor(1.25 * m.period), refused_at)
  local most = named and named.limit or m.limit
  if #sent >= most and (named or wait < m.period / 4) then -- it was so many, and their period is longer
    m.limit, m.period = most, math.max(wait, back - sent[#sent - most + 1])
  else
    m.limit = math.max(1, math.min(most, #sent_since(s, back - math.floor(1.05 * m.period), refused_at)))
  end
end

-- A 429 that is not the bucket's own: `entry` is the refused call's, nil if it left before a second limiter was known.
-- returns how long nothing may leave
local function refused_by_second(l, a, entry)
  local s = second_of(l) or { run = run, log = {}, limiters = {} }
  local named = a.second
  local leaky = named and named.limit > 1 and named.after_us > a.retry_us + 1000
  local wait = named and not leaky and named.after_us or a.retry_us
  local m, pause = limiter_of(s, named and named.name or '', wait), a.retry_us
  l.second, s.changed = s, true
  if not m then
    m = { name = named and named.name or '', limit = named and named.limit or 0, period = wait, reported = 0, size = 0 }
    s.limiters[#s.limiters + 1] = m
    if #s.limiters > MAX_LIMITERS then table.remove(s.limiters, 1) end
    pause = math.max(pause, named and named.after_us or 0) -- all it allows is back by then, and none of it is logged
  else
    m.period = math.max(m.period, wait)
    if entry and entry[2] >= m.reported then correct(s, m, named, wait, entry[2]) end
  end
  if leaky then m.period = math.floor(named.limit * (named.after_us - a.retry_us) / (named.limit - 1)) end
  m.size = named and named.limit or m.size
  m.since, m.reported, m.step = now + pause, now, 1
  m.quiet = now + trust_period(m)
  return pause
end

local function save_second(l)
  local s = l.second
  if not s or not s.changed then return end
  local kept, log, longest = {}, {}, MINUTE
  for _, m in ipairs(s.limiters) do
    if now - m.reported < DAY then kept[#kept + 1], longest = m, math.max(longest, math.floor(1.25 * m.period)) end
  end
  for _, entry in ipairs(s.log) do
    if entry[3] == 0 or entry[3] + longest > now then log[#log + 1] = entry end
  end
  touched[KEYS[9]] = true
  if #kept == 0 then
    G.limited = limited_lanes() - redis.call('HDEL', KEYS[9], l.name)
    return
  end
  local text = cmsgpack.pack({ run = run, used = now, log = log, limiters = kept })
  G.limited = limited_lanes() + redis.call('HSET', KEYS[9], l.name, text)
  if G.limited < 1000 then return end
  local scan = redis.call('HSCAN', KEYS[9], '0', 'COUNT', 100)[2]
  for i = 1, #scan, 2 do
    if now - cmsgpack.unpack(scan[i + 1]).used > 60 * MINUTE then
      G.limited = G.limited - redis.call('HDEL', KEYS[9], scan[i])
    end
  end
end
