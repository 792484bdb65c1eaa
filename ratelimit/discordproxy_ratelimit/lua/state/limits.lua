-- Part 6: the arithmetic of one bucket. Discord runs fixed windows and leaky ones (GCRA) and does not show which; both
-- are read safely until two answers have distinguished them.

-- A bucket above this size is rarely the effective limit: a smaller limiter, which no header of a success shows, may count
-- the same calls. So a burst grows by half with each answer, and a 429 concerns few calls.
local LARGE = 10

-- Reset need not be the time at which all tokens are back: it may be that of the next token only, or of the oldest call.
-- Until an answer shows it (`full`, see learn.lua), or that the bucket leaks, a bucket is careful: calls leave only as far
-- as the Remaining of the newest answer covers them, and after its Reset one call alone, whose answer shows what is left. No
-- limiter refuses calls that leave in this way.

-- A 429 of the bucket itself proves that its numbers mean something else than assumed, or that others use it. For a while
-- it is then cautious: careful, with few calls in flight. Afterwards the bucket is tried like a large one, so that a second
-- surprise is a 429 or two; then it is cautious for longer.
local CAUTION, MORE_CAUTION = 10 * MINUTE, 60 * MINUTE
local FEW_IN_FLIGHT = 4

local function is_cautious(b) return now < (b.cautious or 0) end
local function leaks(b) return b.leaky == '1' and not is_cautious(b) end
local function is_careful(b) return is_cautious(b) or not (b.leaky == '1' or b.full) end

local function grow_cautious(b)
  local again = b.cautious and now >= b.cautious
  b.cautious = math.max(b.cautious or 0, now + (again and MORE_CAUTION or CAUTION))
end

-- Whether a call that left so long ago did so with all the caution there is.
local function was_cautious(b, ago)
  local lasts = is_cautious(b) and b.cautious - now
  return lasts and ago < (lasts > CAUTION and MORE_CAUTION or CAUTION) - lasts
end

-- Answers of routes that share a hash but count apart show their limits in turn.
local function is_mixed(b) return b.moved and now - b.moved < MINUTE end

local function is_tried(b) return b.limit > LARGE or b.cautious end
local function grows(b, infl) return is_tried(b) and infl >= math.max(1, math.floor((b.proven or 0) / 2)) end

-- A request that is not answered yet may be counted by Discord at any moment until its answer, so a window that begins
-- anew begins with all of them in it.
-- Returns how many calls may be sent now. For none, also the time of the next one, nil if an answer must come first.
local function available(b, l)
  local infl = math.max(b.infl, l.infl) -- after a bucket has changed its name, the lane's calls in flight are in both
  if not b.limit then return (infl == 0) and 1 or 0, nil end
  if grows(b, infl) then return 0, nil end
  if is_careful(b) then
    if is_cautious(b) and infl >= FEW_IN_FLIGHT then return 0, nil end
    local free = (infl == 0 and now >= b.reset) and math.max(1, b.remaining) or b.remaining - infl
    if free >= 1 then return free end
    return 0, infl == 0 and b.reset or nil
  end
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
  if leaks(b) then return math.max(now, math.max(b.reset, now) + (b.infl + k - b.limit) * b.step) end
  local over = b.reset > 0 and now >= b.reset
  local left = k - (over and b.limit or b.remaining) + b.infl
  if left <= 0 then return now end
  local start = b.reset
  if over then start = now + (b.period or 0) elseif start == 0 then start = b.opened + (b.period or 0) end
  return math.max(now, start + (math.ceil(left / b.limit) - 1) * (b.period or 0))
end

-- A window whose end has passed is over: the next one is full, and only an answer shows when it ends.
local function roll(b)
  if b.limit and b.leaky ~= '1' and not is_careful(b) and b.reset > 0 and now >= b.reset then
    b.remaining, b.reset, b.opened = b.limit, 0, now
  end
end

local function charge(b, l, id)
  if b.cautious and b.cautious > 0 and now >= b.cautious then b.cautious, b.proven = 0, 0 end
  roll(b)
  b.infl, l.infl = b.infl + 1, l.infl + 1
  log_sent(l, id)
end
