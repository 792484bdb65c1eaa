-- Part 2: the arithmetic of one bucket. Discord runs fixed windows and leaky ones (GCRA) and does not say which; both
-- are read safely until two answers have told them apart.
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

-- A request that is not answered yet may be counted by Discord at any moment until its answer, so a window that begins
-- anew begins with all of them in it.
-- returns how many may be sent now; and when there are none, the instant one may, or nil if only an answer can tell
local function available(b, l)
  local infl = math.max(b.infl, l.infl) -- after a bucket has changed its name, the lane's calls in flight are in both
  if not b.limit then return (infl == 0) and 1 or 0, nil end
  if b.leaky == '1' then
    local backlog = math.max(0, b.reset - now)
    local free = math.floor((b.limit * b.step - backlog) / b.step) - infl
    if free >= 1 then return free end
    return 0, (infl + 1 <= b.limit) and math.max(now + 1, b.reset + (infl + 1 - b.limit) * b.step) or nil
  end
  if b.reset > 0 and now >= b.reset then return math.max(0, b.limit - infl), nil end
  local free = b.remaining - infl
  if free >= 1 then return free end
  return 0, (b.reset > 0 and infl + 1 <= b.limit) and b.reset or nil
end

-- A lower bound of the instant the k-th waiting call can leave; what lies behind the deadline is refused at once.
local function eta(b, k)
  if not b.limit then return now end
  if b.leaky == '1' then return math.max(now, math.max(b.reset, now) + (b.infl + k - b.limit) * b.step) end
  local over = b.reset > 0 and now >= b.reset
  local left = k - (over and b.limit or b.remaining) + b.infl
  if left <= 0 then return now end
  local start = b.reset
  if over then start = now + (b.period or 0) elseif start == 0 then start = b.opened + (b.period or 0) end
  return math.max(now, start + (math.ceil(left / b.limit) - 1) * (b.period or 0))
end

-- A window whose end has passed is over: the next one is full, and only an answer tells when it ends.
local function roll(b)
  if b.limit and b.leaky ~= '1' and b.reset > 0 and now >= b.reset then
    b.remaining, b.reset, b.opened = b.limit, 0, now
  end
end

local function charge(b, l)
  roll(b)
  b.infl, l.infl = b.infl + 1, l.infl + 1
end

-- No answer, or one without numbers: Discord may have counted it, so it is counted here.
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
    if b.leaky == '1' and b.limit > 1 and a.after > 0 then b.leaky = '0'; b.remaining = math.min(a.remaining, b.remaining) end
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
