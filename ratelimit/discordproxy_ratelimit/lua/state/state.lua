-- Part 4: buckets and lanes, read once and written once in a call.

-- A bucket: limit, remaining, reset (us, an upper bound on our clock; 0 = a window whose end no answer has shown yet),
-- rid (Discord's Reset in ms: identity and order, never a clock), leaky ('1', '0' or nil = not known), step (us per
-- token of a leaky one), period (us of a fixed window), opened (us), infl (sent or about to be, not answered), heads,
-- proven (calls that a large one has let pass), ends (when its key expires), cautious (until when, us; 0 = no more, nil =
-- never; see limits.lua), moved (when its limit last changed, us), full (whether its Reset has been seen to return all
-- tokens), counted (a lower bound of the instant at which Discord counted the newest call, us). Packed in the order of
-- `save_bucket`.

local function bucket(key)
  local b = buckets[key]
  if b then return b end
  local packed = redis.call('GET', key)
  local life, infl, heads, limit, remaining, reset, rid, leaky, step, period, opened, proven, ends, cautious,
    moved, full, counted
  if packed then
    life, infl, heads, limit, remaining, reset, rid, leaky, step, period, opened, proven, ends, cautious,
      moved, full, counted = cmsgpack.unpack(packed)
  end
  if life == run then
    b = { key = key, packed = packed, infl = infl, heads = heads, limit = limit, remaining = remaining, reset = reset,
      rid = rid, leaky = leaky, step = step, period = period, opened = opened, proven = proven, ends = ends,
      cautious = cautious, moved = moved, full = full, counted = counted }
  else
    b = { key = key, packed = packed, infl = 0, heads = {}, ends = 0 }
  end
  buckets[key] = b
  return b
end

local function save_bucket(b)
  if not b.limit and b.infl == 0 and not next(b.heads) then
    if b.packed then redis.call('UNLINK', b.key) end
    return
  end
  local needed, ttl = math.max(b.reset or 0, b.cautious or 0, now) + MINUTE + lease_us, nil
  if b.ends < needed then
    b.ends = math.floor(needed + MINUTE / 2)
    ttl = math.floor((b.ends - now) / 1000)
  end
  local packed = cmsgpack.pack(run, b.infl, b.heads, b.limit, b.remaining, whole(b.reset), b.rid, b.leaky,
    whole(b.step), whole(b.period), b.opened, b.proven, b.ends, b.cautious, b.moved, b.full, b.counted)
  if packed ~= b.packed then store(b.key, packed, ttl) end
end

-- A lane: the calls of one route and major parameter. They wait in one queue, whatever bucket they turn out to share.
-- Packed: run, infl, v, finish, the size of its queue, kept (when both got their TTL), line (a call of the lane that may
-- wait for a global slot), early (a waiting call that has its turn already, see grant.lua).
local function lane(name, key, queue)
  local l = lanes[name]
  if l then return l end
  local packed, paused = redis.call('GET', key), blocked(name)
  local life, infl, v, finish, waiting, kept, line, early
  if packed then life, infl, v, finish, waiting, kept, line, early = cmsgpack.unpack(packed) end
  if life ~= run then
    if packed then redis.call('UNLINK', queue) end
    infl, v, finish, waiting, kept, line, early = 0, 0, {}, 0, 0, nil, nil
  end
  sizes[queue] = waiting
  l = { name = name, key = key, queue = queue, packed = packed, infl = infl, v = v, finish = finish, kept = kept,
    line = line, early = early, paused = paused and tonumber(paused:match('^%d+')) or 0, second = nil, ended = nil }
  lanes[name] = l
  return l
end

local function save_lane(l)
  local waiting = size(l.queue)
  if l.infl == 0 and waiting == 0 then
    if l.packed then redis.call('UNLINK', l.key) end
    return
  end
  local due = now - l.kept > MINUTE
  if due then l.kept = now end
  if waiting > 0 and (due or touched[l.queue]) then redis.call('PEXPIRE', l.queue, SHORT_TTL) end
  local packed = cmsgpack.pack(run, l.infl, l.v, l.finish, waiting, l.kept, l.line, l.early)
  if packed ~= l.packed then store(l.key, packed, due and SHORT_TTL) end
end
