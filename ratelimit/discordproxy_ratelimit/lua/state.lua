-- Part 2: buckets and lanes, read once and written once in a call.

-- A bucket: limit, remaining, reset (us, an upper bound on our clock; 0 = a window whose end no answer has told yet),
-- rid (Discord's Reset in ms: identity and order, never a clock), leaky ('1', '0' or nil = not known), step (us per
-- token of a leaky one), period (us of a fixed window), opened (us), infl (sent or about to be, not answered), heads.
local function bucket(key)
  local b = buckets[key]
  if b then return b end
  local f = redis.call('HMGET', key, 'run', 'limit', 'remaining', 'reset', 'rid', 'leaky', 'step', 'period', 'opened',
    'infl', 'heads')
  b = { key = key, infl = 0, heads = {} }
  if f[1] == run then
    b.leaky = f[6] ~= '' and f[6] or nil
    b.heads = f[11] and f[11] ~= '' and cjson.decode(f[11]) or {}
    b.limit, b.remaining, b.reset, b.rid = tonumber(f[2]), tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
    b.step, b.period, b.opened, b.infl = tonumber(f[7]), tonumber(f[8]), tonumber(f[9]) or 0, tonumber(f[10])
  end
  buckets[key] = b
  return b
end

local function save_bucket(b)
  local fields = { 'run', run, 'infl', b.infl, 'heads', next(b.heads) and cjson.encode(b.heads) or '' }
  if b.limit then
    for _, name in ipairs({ 'limit', 'remaining', 'reset', 'rid', 'step', 'period', 'opened' }) do
      if b[name] then fields[#fields + 1] = name; fields[#fields + 1] = integer(b[name]) end
    end
    fields[#fields + 1] = 'leaky'; fields[#fields + 1] = b.leaky or ''
  end
  redis.call('HSET', b.key, unpack(fields))
  redis.call('PEXPIRE', b.key, integer((math.max(b.reset or 0, now) - now + MINUTE + lease_us) / 1000))
end

-- A lane: the calls of one route and major parameter. They wait in one queue, whatever bucket they turn out to share.
local function lane(name, key, queue)
  local l = lanes[key]
  if l then return l end
  local f = redis.call('HGETALL', key)
  l = { name = name, key = key, queue = queue, infl = 0, v = 0, finish = {} }
  local fields = {}
  for i = 1, #f, 2 do fields[f[i]] = f[i + 1] end
  if fields.run == run then
    l.infl, l.v = tonumber(fields.infl), tonumber(fields.v)
    for field, value in pairs(fields) do
      if field:sub(1, 2) == 'f:' then l.finish[field:sub(3)] = tonumber(value) end
    end
  elseif fields.run then
    redis.call('UNLINK', queue)
  end
  local paused = redis.call('HGET', KEYS[7], name)
  l.paused = paused and tonumber(paused:match('^%d+')) or 0
  lanes[key] = l
  return l
end

local function save_lane(l)
  redis.call('UNLINK', l.key)
  if l.infl == 0 and redis.call('EXISTS', l.queue) == 0 then return end
  local fields = { 'run', run, 'infl', l.infl, 'v', tostring(l.v) }
  for app, finish in pairs(l.finish) do
    if finish > l.v then fields[#fields + 1] = 'f:' .. app; fields[#fields + 1] = tostring(finish) end
  end
  redis.call('HSET', l.key, unpack(fields))
  redis.call('PEXPIRE', l.key, 3600000)
  redis.call('PEXPIRE', l.queue, 3600000)
end
