-- Part 6: what an answer teaches. Discord's Reset tells windows apart and orders them; it is never read as a clock.
local SAME_RESET_MS = 5 -- Discord's Reset of one fixed window never differs by more
local GUARD = 1000      -- us; Discord rounds to a millisecond

-- Half the smallest round trip of the last minute is less than the time a request and its answer spend on the way: so
-- much earlier a request may leave and still arrives in time. Few samples, or slow ones only, prove little.
local ENOUGH, MOST_LATENCY = 20, 30000

local function sure_latency()
  if G.rtts < ENOUGH then return 0 end
  local least = G.rtt > 0 and G.rtt or G.rtt_old
  if G.rtt_old > 0 then least = math.min(least, G.rtt_old) end
  return math.min(least / 2, MOST_LATENCY)
end

local function saw_round_trip(rtt)
  if now - G.rtt_at > MINUTE / 2 then
    if now - G.rtt_at > MINUTE then G.rtts = 0 end
    G.rtt_old, G.rtt, G.rtt_at = G.rtt, 0, now
  end
  G.rtt, G.rtts = G.rtt > 0 and math.min(G.rtt, rtt) or rtt, G.rtts + 1
end

-- No answer, or one without numbers of this bucket: Discord may have counted it, so it is counted here.
local function count_unseen(b)
  if not b.limit then return end
  if b.leaky == '1' then
    b.reset = math.max(b.reset, now) + b.step
    return
  end
  roll(b)
  b.remaining = math.max(0, b.remaining - 1)
  if b.reset == 0 then b.reset = now + (b.period or 5 * SECOND) end
end

-- a: limit, remaining, rid (ms), after (us until all tokens are back), age (us since the answer arrived)
local function learn(b, a)
  local reset, old = now - a.age + a.after + GUARD - sure_latency(), b.rid
  local used = math.max(1, a.limit - a.remaining)
  local least = math.max(1, (a.after - 500) / used)
  local most = used > 1 and a.after / (used - 1) or a.after + 500
  local limit_moved = b.limit ~= a.limit
  if not b.limit then
    b.remaining, b.reset, b.rid, b.opened = a.remaining, reset, a.rid, now
  elseif a.rid > old + SAME_RESET_MS then
    local old_passed = a.rid - a.after / 1000 >= old
    if not old_passed and not limit_moved and (a.rid - old) * 1000 >= least / 2 then b.leaky = '1' end
    b.remaining, b.reset, b.rid = a.remaining, reset, a.rid
  elseif a.rid >= old - SAME_RESET_MS then
    if b.leaky == '1' and b.limit > 1 and a.after > 0 then
      b.leaky, b.remaining = '0', math.min(a.remaining, b.remaining)
    end
    if b.reset > 0 then
      b.remaining, b.reset = math.min(b.remaining, a.remaining), math.min(b.reset, reset)
      if not b.leaky then b.leaky = '0' end
    end
  else
    return -- an answer of an earlier window, late
  end
  if limit_moved then b.limit, b.step, b.period = a.limit, nil, nil end
  b.step = math.min(math.max(b.step or least, least), most)
  if b.leaky ~= '1' then b.period = math.max(b.period or 0, a.after) end
end

-- A bucket under a new name begins with what is known under the former one: Discord may have changed nothing but the name.
local function inherit(b, former_key)
  if b.limit then return end
  local former = bucket(former_key)
  for _, name in ipairs({ 'limit', 'remaining', 'reset', 'rid', 'leaky', 'step', 'period', 'opened' }) do
    b[name] = former[name]
  end
end

-- A 429 of the bucket itself: nothing before `retry_us`.
local function exhaust(b, retry_us)
  if not b.limit then
    b.limit, b.remaining, b.rid, b.reset, b.opened, b.step = 1, 0, 0, now + retry_us + GUARD, now, retry_us
  elseif b.leaky == '1' then
    b.reset = math.max(b.reset, now + retry_us + GUARD + (b.limit - 1) * b.step)
  else
    b.remaining, b.reset = 0, math.max(b.reset, now + retry_us + GUARD)
  end
end
