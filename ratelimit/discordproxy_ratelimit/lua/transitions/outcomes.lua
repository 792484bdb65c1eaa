-- Part 14: effects of an answer beside its numbers: on the lane, on the account, on the route's bucket.
local WEBHOOK_GONE, FORBIDDEN = 86400 * SECOND, MINUTE

-- Shared scope, a sub-limit, another limiter: only this lane.
local function pause(a, b, l)
  b.proven = b.limit and 0 or nil
  l.paused = math.max(l.paused, now + refused_by_second(l, a, l.ended))
  block(l.name, l.paused, 'paused', 429, 0)
end

-- A 429 in spite of all caution while limits change: the bucket's numbers are those of other routes, so this lane is
-- counted apart. If its limit stays, others use the bucket.
local function exhausted(a, b, l)
  if not (a.hash and is_mixed(b) and was_cautious(b, a.age_us + a.rtt_us)) then return exhaust(b, a) end
  grow_cautious(b)
  a.second = { name = a.hash, limit = a.limit, after_us = a.after_us }
  pause(a, b, l)
end

local outcomes = {
  answered = function() end,
  unknown = function() end,
  exhausted = exhausted,
  paused = pause,
  global = function(a)
    if now >= G.blocked then G.shrink, G.shrunk = G.shrink + 1, now end
    G.blocked = math.max(G.blocked, now + a.retry_us)
    hint('all', { 'B', '', integer(a.retry_us) })
  end,
}

-- Discord may give a route another hash at any time; calls sent before that still bring the former one. Two limiters may
-- also answer on one route in turn: after two returns the route stays where it is for a while, with the worse of both.
-- A lane that has had its hash before another lane changed that of the route, and still has it, has one of its own.
-- had: whether the bucket with the answer's hash is known, and is not the one that the call left for
local function learn_hash(route, lane_name, a, had)
  local name, sent = hash_name(route, lane_name), now - a.age_us - a.rtt_us
  local known = stored_hash(name)
  if a.hash == known then return known end
  if known and known ~= '-' then
    local since, returns, former, by = (stored_hash(name .. ' moved') or ''):match('^(%d+) (%d+) (.*)\n(.*)$')
    since, returns = tonumber(since or 0), tonumber(returns or 0)
    if since <= now and sent < since then return known end
    if had and by and by ~= lane_name then
      store_hash(route, EACH_LANE)
      store_hash(by, known)
      name = lane_name
    else
      local lately = since <= now and now - since < 5 * MINUTE
      if former == a.hash and lately and returns >= 2 then return known end
      returns = former == a.hash and lately and returns + 1 or 0
      store_hash(name .. ' moved', table.concat({ integer(sent), integer(returns), known .. '\n' .. lane_name }, ' '))
    end
  end
  store_hash(name, a.hash)
  return a.hash
end

local function bucket_state(b)
  if not b.limit then return '' end
  local left = b.reset > 0 and whole(math.max(0, b.reset - now)) or 0
  return string.format('%d|%d|%d|%d|%s|%d|%d', b.limit, b.remaining, left, b.rid, b.leaky or '', whole(b.step or 0),
    whole(b.period or 0))
end
