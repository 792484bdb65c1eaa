-- Part 4: buckets and lanes, read once and written once in a call.

-- A bucket: limit, remaining, reset (us, an upper bound on our clock; 0 = a window whose end no answer has told yet),
-- rid (Discord's Reset in ms: identity and order, never a clock), leaky ('1', '0' or nil = not known), step (us per
-- token of a leaky one), period (us of a fixed window), opened (us), infl (sent or about to be, not answered), heads,
-- proven (calls that a large one has let pass). Packed as an array, run first: names would cost more than the numbers.

local function bucket(key)
  local b = buckets[key]
  if b then return b end
  local packed = redis.call('GET', key)
  b = { key = key, infl = 0, heads = {}, packed = packed }
  if packed then
    local life, infl, heads, limit, remaining, reset, rid, leaky, step, period, opened, proven = cmsgpack.unpack(packed)
    if life == run then
      b.infl, b.heads, b.limit, b.remaining, b.reset, b.rid = infl, heads, limit, remaining, reset, rid
      b.leaky, b.step, b.period, b.opened, b.proven = leaky, step, period, opened, proven
    end
  end
  buckets[key] = b
  return b
end

local function whole(value) return value and math.floor(value + 0.5) end

local function save_bucket(b)
  if not b.limit and b.infl == 0 and not next(b.heads) then
    if b.packed then redis.call('UNLINK', b.key) end
    return
  end
  local packed = cmsgpack.pack(run, b.infl, b.heads, b.limit, whole(b.remaining), whole(b.reset), b.rid, b.leaky,
    whole(b.step), whole(b.period), b.opened, b.proven)
  if packed == b.packed and b.infl == 0 then return end
  local ttl = (math.max(b.reset or 0, now) - now + MINUTE + lease_us) / 1000
  redis.call('SET', b.key, packed, 'PX', integer(ttl))
end

-- A lane: the calls of one route and major parameter. They wait in one queue, whatever bucket they turn out to share.
-- Packed: run, infl, v, finish, the size of its queue, kept (when both got their TTL).
local function lane(name, key, queue)
  local l = lanes[key]
  if l then return l end
  local packed = redis.call('GET', key)
  l = { name = name, key = key, queue = queue, infl = 0, v = 0, finish = {}, kept = 0, packed = packed }
  if packed then
    local life, infl, v, finish, waiting, kept = cmsgpack.unpack(packed)
    if life == run then
      l.infl, l.v, l.finish, sizes[queue], l.kept = infl, v, finish, waiting, kept
    else
      redis.call('UNLINK', queue)
      sizes[queue] = 0
    end
  end
  local paused = blocked(name)
  l.paused = paused and tonumber(paused:match('^%d+')) or 0
  lanes[key] = l
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
  local packed = cmsgpack.pack(run, l.infl, l.v, l.finish, waiting, l.kept)
  if packed ~= l.packed then redis.call('SET', l.key, packed, 'PX', SHORT_TTL) end
end
