-- Part 4: buckets and lanes, read once and written once in a call.

-- A bucket: limit, remaining, reset (us, an upper bound on our clock; 0 = a window whose end no answer has told yet),
-- rid (Discord's Reset in ms: identity and order, never a clock), leaky ('1', '0' or nil = not known), step (us per
-- token of a leaky one), period (us of a fixed window), opened (us), infl (sent or about to be, not answered), heads,
-- proven (calls that a large one has let pass).
local BUCKET = { 'run', 'limit', 'remaining', 'reset', 'rid', 'leaky', 'step', 'period', 'opened', 'infl', 'heads',
  'proven' }

local function bucket(key)
  local b = buckets[key]
  if b then return b end
  local f = redis.call('HMGET', key, unpack(BUCKET))
  b = { key = key, infl = 0, heads = {}, before = {} }
  for i, name in ipairs(BUCKET) do b.before[name] = f[i] end
  if f[1] == run then
    b.leaky = f[6] ~= '' and f[6] or nil
    b.heads = f[11] and f[11] ~= '' and cmsgpack.unpack(f[11]) or {}
    b.limit, b.remaining, b.reset, b.rid = tonumber(f[2]), tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
    b.step, b.period, b.opened, b.infl = tonumber(f[7]), tonumber(f[8]), tonumber(f[9]) or 0, tonumber(f[10])
    b.proven = tonumber(f[12])
  end
  buckets[key] = b
  return b
end

local function save_bucket(b)
  local after = { run = run, infl = integer(b.infl), heads = next(b.heads) and cmsgpack.pack(b.heads) or '' }
  if b.limit then
    after.leaky = b.leaky or ''
    for _, name in ipairs({ 'limit', 'remaining', 'reset', 'rid', 'step', 'period', 'opened', 'proven' }) do
      if b[name] then after[name] = integer(b[name]) end
    end
  end
  if save(b.key, b.before, after) then
    redis.call('PEXPIRE', b.key, integer((math.max(b.reset or 0, now) - now + MINUTE + lease_us) / 1000))
  end
end

-- A lane: the calls of one route and major parameter. They wait in one queue, whatever bucket they turn out to share.
local function lane(name, key, queue)
  local l = lanes[key]
  if l then return l end
  local f = redis.call('HMGET', key, 'run', 'infl', 'v', 'finish')
  l = { name = name, key = key, queue = queue, infl = 0, v = 0, finish = {}, before = {} }
  if f[1] == run then
    l.infl, l.v, l.finish = tonumber(f[2]), tonumber(f[3]), cjson.decode(f[4])
    l.before = { run = f[1], infl = f[2], v = f[3], finish = f[4] }
  elseif f[1] then
    redis.call('UNLINK', queue)
    sizes[queue] = 0
  end
  local paused = blocked(name)
  l.paused = paused and tonumber(paused:match('^%d+')) or 0
  lanes[key] = l
  return l
end

local function save_lane(l)
  if l.infl == 0 and size(l.queue) == 0 then
    if l.before.run then redis.call('UNLINK', l.key) end
    return
  end
  local finish = next(l.finish) and cjson.encode(l.finish) or '{}'
  save(l.key, l.before, { run = run, infl = integer(l.infl), v = string.format('%.17g', l.v), finish = finish })
  redis.call('PEXPIRE', l.key, 3600000)
  if size(l.queue) > 0 then redis.call('PEXPIRE', l.queue, 3600000) end
end
