-- Part 8: acquire. item: {'a', id, route, lane, bucket name, options}; options: left_us, app, weight, priority, and if
-- true ordered, exempt, returned (after a 429), token (the bot's is used), refusal (name of a remembered refusal), hash
-- (the believed one), seq and restored (known before a restart).
-- reply {'granted'} | {'wait', come back in us, seq} | {'refused', us} | {'moved', hash} | {'known', status, code, us}
local SAFETY = 5 * SECOND
local PROBE = 10 * SECOND -- how long one call may find out whether a refused token works again

local function block(name, till, kind, status, code)
  redis.call('HSET', KEYS[7], name, table.concat({ integer(till), kind, status, code }, ' '))
  touched[KEYS[7]], blocks = true, nil
  if redis.call('HLEN', KEYS[7]) < 1000 then return end
  local scan = redis.call('HSCAN', KEYS[7], '0', 'COUNT', 100)[2]
  for i = 1, #scan, 2 do
    if tonumber(scan[i + 1]:match('^%d+')) < now then redis.call('HDEL', KEYS[7], scan[i]) end
  end
end

local function known_refusal(name)
  local text = blocked(name)
  if not text then return nil end
  local till, status, code = text:match('^(%d+) %S+ (%S+) (%S+)')
  if not till or tonumber(till) <= now then
    if name ~= 'token' then redis.call('HDEL', KEYS[7], name) else block(name, now + PROBE, 'probing', 401, 0) end
    return nil
  end
  return { 'known', tonumber(status), tonumber(code), tonumber(till) - now }
end

-- Who is behind in the queue hears of a grant by a hint; it asks by itself only in case the hint was lost.
local function wait_reply(l, b, id, record, after)
  local ahead = redis.call('ZRANK', l.queue, member_of(id, record)) or 0
  local safety = math.max(eta(b, ahead + 1), l.paused, G.recover) - now + SAFETY
  return { 'wait', integer(ahead == 0 and after or safety), integer(record.seq) }
end

-- The lower bound of the wait: the lane's own limit, and the global one behind those who wait for it already.
local function soonest(l, b, o, headerless)
  local at = math.max(l.paused, G.recover)
  local score = start_of(l, o.app) - (HEAD_START[o.priority] or 0)
  if not headerless and size(l.queue) == 0 then
    at = math.max(at, eta(b, 1))
  elseif not headerless then
    at = math.max(at, eta(b, redis.call('ZCOUNT', l.queue, '-inf', string.format('(%.17g', score)) + 1))
  end
  if o.exempt then return at end
  if size(KEYS[8]) == 0 then return math.max(at, G.blocked) end
  local first = start_of(G, o.app) - (HEAD_START[o.priority] or 0)
  local rounds = math.floor(redis.call('ZCOUNT', KEYS[8], '-inf', string.format('(%.17g', first)) / global_limit())
  return math.max(at, G.blocked, now + rounds * SECOND)
end

local function again(id, record)
  grants[#grants + 1] = { 'G', id, integer(math.max(0, record.start - now)), record.bucket }
end

local function repeated(id, record)
  if record.state == 'granted' then
    again(id, record)
    return { 'granted', 0, integer(record.seq) }
  end
  return { 'wait', integer(SAFETY), integer(record.seq) }
end

local function acquire(item, k)
  local id, route, lane_name, bucket_name, o = item[2], item[3], item[4], item[5], item[6]
  local before = read_record(id)
  if before then return repeated(id, before) end
  local known = route_hash(route)
  if (known or '') ~= o.hash then return { 'moved', known or '' } end
  local refusal = (o.token and known_refusal('token')) or (o.refusal and known_refusal(o.refusal))
  if refusal then return refusal end
  local l, b = lane(lane_name, KEYS[k], KEYS[k + 1]), bucket(KEYS[k + 2])
  local headerless = known == '-'
  local at = soonest(l, b, o, headerless)
  if at > now + o.left_us then return { 'refused', integer(at - now) } end
  local record = { worker = me, lane = lane_name, route = route, app = o.app, weight = o.weight, priority = o.priority,
    deadline = now + o.left_us, ordered = o.ordered, exempt = o.exempt, returned = o.returned, restored = o.restored,
    seq = o.seq or next_seq(), bucket = bucket_name }
  if size(l.queue) == 0 then
    local free = start_instant(b, l, record, headerless)
    if free and not earlier_lane(b, l, bucket_name) then
      charge(b, l)
      to_global(id, record, 0)
      return { record.state, '0', integer(record.seq) }
    end
  end
  push(l, id, record)
  local after = serve(l, b, bucket_name, headerless)
  record = read_record(id) or record
  if record.state then return { record.state, '0', integer(record.seq) } end
  return wait_reply(l, b, id, record, after)
end
