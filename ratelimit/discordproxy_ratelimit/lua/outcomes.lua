-- Part 13: what an answer means beside its numbers: for the lane, for everybody, for the route's bucket.
local WEBHOOK_GONE, FORBIDDEN = 86400 * SECOND, MINUTE

local outcomes = {
  answered = function() end,
  unknown = function() end,
  exhausted = function(a, b) exhaust(b, a.retry_us) end,
  paused = function(a, _, l) -- shared scope, a sub-limit, another limiter: only this lane
    l.paused = math.max(l.paused, now + a.retry_us)
    block(l.name, l.paused, 'paused', 429, 0)
  end,
  global = function(a)
    if now >= G.blocked then G.shrink, G.shrunk = G.shrink + 1, now end
    G.blocked = math.max(G.blocked, now + a.retry_us)
    hint('all', { 'B', '', integer(a.retry_us) })
  end,
}

-- Two limiters may answer on one route in turn. After three flips the route stays and takes the worse of both.
local function learn_hash(route, a)
  local known = route_hash(route)
  if a.hash == known then return known end
  local flips = tonumber(route_hash(route .. ' flips') or 0)
  if known and known ~= '-' then
    if flips >= 3 then return known end
    learn_route(route .. ' flips', flips + 1)
  end
  learn_route(route, a.hash)
  return a.hash
end

local function bucket_state(b)
  if not b.limit then return '' end
  return table.concat({ b.limit, b.remaining, integer(b.reset > 0 and math.max(0, b.reset - now) or 0),
    integer(b.rid), b.leaky or '', integer(b.step or 0), integer(b.period or 0) }, '|')
end
