-- Part 7: the update of a bucket from an answer. Discord's Reset distinguishes windows and orders them; it is never read
-- as a clock.
local SAME_RESET_MS = 5 -- Discord's Reset of one fixed window never differs by more
local VAGUE_MS = 300    -- the instant that stands in for a missing Reset is late by the answer's way back, which differs
local GUARD = 1000      -- us; Discord rounds to a millisecond

-- An answer with numbers contains Discord's time at which the request was counted. So the time to Discord and the time
-- back can each be measured, plus or minus the difference of the clocks, which cancels out in the sum of both minima. Half
-- of that sum always passes between an answer and the arrival of the next request, so a request may leave that much earlier.
-- A single round trip is no such bound: its short way there may be followed by a short way back. It takes some samples.
local MIN_SAMPLES, MAX_LATENCY = 20, 30000

-- 0 stands for none.
local function lower(one, other)
  if one == 0 or other == 0 then return one + other end
  return math.min(one, other)
end

local function sure_latency()
  if G.ways < MIN_SAMPLES then return 0 end
  local sum = lower(G.there, G.there_old) + lower(G.back, G.back_old)
  return math.min(math.max(0, sum / 2), MAX_LATENCY)
end

-- a: the answer, with numbers: rid is Discord's Reset in ms, after_us what was left until then
local function saw_ways(a)
  local answered, counted = now - a.age_us, a.rid * 1000 - a.after_us
  if now - G.ways_at > MINUTE / 2 then
    if now - G.ways_at > MINUTE then G.ways, G.there, G.back = 0, 0, 0 end
    G.there_old, G.back_old, G.there, G.back, G.ways_at = G.there, G.back, 0, 0, now
  end
  G.there = lower(G.there, counted - (answered - a.rtt_us))
  G.back, G.ways = lower(G.back, answered - counted), G.ways + 1
end

-- No answer, or one without numbers of this bucket: Discord may have counted it, so it is counted here.
local function count_unseen(b)
  if not b.limit then return end
  if leaks(b) then
    b.reset = math.max(b.reset, now) + b.step
    return
  end
  roll(b)
  local alone = is_careful(b) and now >= b.reset -- it began a window, of which nothing is known
  b.remaining = math.max(0, b.remaining - 1)
  if alone or b.reset == 0 then b.reset = now + (b.period or 5 * SECOND) end
end

-- a: limit, remaining, rid (ms, 0 without), after_us (until all tokens are back), age_us (since the answer arrived)
-- Without Discord's Reset, no two answers can show that a bucket leaks: the safe reading stays.
local function learn(b, a)
  local answered = now - a.age_us
  local after, old, rid = a.after_us, b.rid, a.rid
  local vague = rid == 0
  if vague then rid = math.floor((answered + after) / 1000) end
  local reset = answered + after + GUARD - sure_latency()
  local used = math.max(1, a.limit - a.remaining)
  local least = math.max(1, (after - 500) / used)
  local most = math.max(1, used > 1 and after / (used - 1) or after + 500) -- 0 would never give a token back
  local limit_moved = b.limit ~= a.limit
  if not b.limit then
    b.remaining, b.reset, b.rid, b.opened = a.remaining, reset, rid, now
  elseif rid > old + (vague and VAGUE_MS or SAME_RESET_MS) or (vague and b.reset == 0) then
    local old_passed = rid - after / 1000 >= old
    local moved = (rid - old) * 1000
    local by_a_step = moved >= math.max(b.step or 0, least) - GUARD and moved <= most + GUARD
    if not vague and not old_passed and not limit_moved and by_a_step then b.leaky = '1' end
    if not limit_moved and a.remaining == a.limit - 1 and b.counted and answered - b.counted < (b.period or 0) - GUARD then
      b.full = true -- a call that left less than a period ago does not count any more
    end
    b.remaining, b.reset, b.rid = a.remaining, reset, rid
  elseif vague or rid >= old - SAME_RESET_MS then
    if not vague and b.leaky == '1' and b.limit > 1 and after > 0 then
      b.leaky, b.remaining = '0', math.min(a.remaining, b.remaining)
    end
    if b.reset > 0 then
      b.remaining = math.min(b.remaining, a.remaining)
      b.reset = vague and math.max(b.reset, reset) or math.min(b.reset, reset)
      if not vague and not b.leaky then b.leaky = '0' end
    end
  else
    return -- an answer of an earlier window, late
  end
  if limit_moved and b.limit then b.moved = now end
  if limit_moved then b.limit, b.step, b.period, b.full = a.limit, nil, nil, nil end
  b.step = math.min(math.max(b.step or least, least), most)
  if b.leaky ~= '1' then b.period = math.max(b.period or 1, after) end
  if not a.refused then b.counted = math.max(b.counted or 0, answered - a.rtt_us) end
end

-- A bucket under a new name inherits the state of the former one: Discord may have changed only the name.
local function inherit(b, former_key)
  if b.limit then return end
  local former = bucket(former_key)
  for _, name in ipairs({ 'limit', 'remaining', 'reset', 'rid', 'leaky', 'step', 'period', 'opened', 'proven', 'cautious',
    'full', 'counted' }) do
    b[name] = former[name]
  end
end

-- A 429 of the bucket itself: nothing before its `retry_us`. If all tokens are back only later, the bucket leaks as it
-- should, and others use it; else it may be of another kind.
local function exhaust(b, a)
  local retry_us = a.retry_us
  local leaks_indeed = a.after_us and retry_us + 1000 < a.after_us and not is_mixed(b)
  if not b.limit then
    b.limit, b.remaining, b.rid, b.reset, b.opened, b.step = 1, 0, 0, now + retry_us + GUARD, now, retry_us
  elseif leaks_indeed and leaks(b) then
    b.reset = math.max(b.reset, now + retry_us + GUARD + (b.limit - 1) * b.step)
  else
    b.remaining, b.reset, b.full = 0, math.max(b.reset, now + retry_us + GUARD), nil
    if not leaks_indeed and b.limit > 1 then grow_cautious(b) end
  end
end
