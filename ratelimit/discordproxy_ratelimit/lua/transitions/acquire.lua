-- Part 13: acquire. item: {'a', id, route, lane, bucket name, options}; options: left_us, app, weight, priority, and if
-- true ordered, exempt, returned (after a 429), token (the bot's is used), refusal (name of a remembered refusal), hash
-- (the expected one), seq and restored (known before a restart), former (name of the bucket before the hash changed), again
-- (the bucket of this call's outdated permit, see grant.lua, which ends).
-- reply {'granted'} | {'wait', come back in us (below 0: only in case a hint is lost), seq} | {'refused', us}
--   | {'moved', hash} | {'known', status, code, us}
local SAFETY = 5 * SECOND
local FEW = 5 -- an application with at most so many calls in the global line takes a call's turn there on arrival

-- A hint announces a grant to the calls behind the head; their workers poll only in case a hint was lost.
local function wait_reply(l, b, id, record, after)
  local ahead = redis.call('ZRANK', l.queue, member_of(id, record)) or 0
  local safety = math.max(eta(b, ahead + 1), l.paused, G.recover) - now + SAFETY
  return { 'wait', integer(ahead == 0 and after or -safety), record.seq }
end

-- The lower bound of the wait: the lane's own limit, and the global one behind the calls that wait for it already.
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

local function again(id, record) grants[#grants + 1] = grant_message(id, record) end

local function repeated(id, record)
  if record.state == 'granted' then
    again(id, record)
    return { 'granted', 0, record.seq }
  end
  return { 'wait', -SAFETY, record.seq }
end

-- Whether others wait for the global limit, and at most so many calls of this application
local function has_few(o, calls)
  local fresh = not (o.exempt or o.returned or o.restored)
  return fresh and size(KEYS[8]) > 0 and (G.finish[o.app] or 0) <= G.v + calls / o.weight
end

local function may_leave(l, b, o, bucket_name, headerless)
  return size(l.queue) == 0 and start_instant(b, l, o, headerless) and not earlier_lane(b, l, bucket_name)
end

local function acquire(item, k)
  local id, route, lane_name, bucket_name, o = item[2], item[3], item[4], item[5], item[6]
  local before = read_record(id)
  local outdated = before and before.bucket == o.again and before.state == 'granted' and not before.start
  if before and not outdated then return repeated(id, before) end
  local known = lane_hash(route, lane_name)
  if (known or '') ~= o.hash then return { 'moved', known_hash(route, lane_name) } end
  local refusal = (o.token and known_refusal('token')) or (o.refusal and known_refusal(o.refusal))
  if refusal then return refusal end
  local l, b = lane(lane_name, KEYS[k], KEYS[k + 1]), bucket(KEYS[k + 2])
  if outdated then
    settle(id, l, bucket(KEYS[k + 3]))
    o.seq, o.returned = before.seq, true
  end
  if o.former then inherit(b, KEYS[k + 3]) end
  local headerless = known == '-'
  -- A call that nothing holds back needs no bound of its wait. A second limiter is examined once: it may try one more.
  local leaves = is_global_idle() and not second_of(l) and may_leave(l, b, o, bucket_name, headerless)
  if not leaves then
    local at = soonest(l, b, o, headerless)
    if at > now + o.left_us then return { 'refused', integer(at - now) } end
    leaves = may_leave(l, b, o, bucket_name, headerless)
  end
  G.arrived = now
  local single = has_few(o, 0)
  if single then saw_single(o.app) end
  local record = { worker = me, lane = lane_name, bucket = bucket_name, seq = o.seq or next_seq(), app = o.app,
    weight = o.weight, priority = o.priority, deadline = now + o.left_us, ordered = o.ordered, exempt = o.exempt,
    returned = o.returned, restored = o.restored, turn = outdated and before.score }
  if leaves then
    charge(b, l, id)
    to_global(l, id, record, 0)
    return { record.state, 0, record.seq }
  end
  if has_few(o, o.priority == 'high' and math.huge or FEW) or is_behind_other_app(l, record, ahead_of(l)) then
    record.turn = turn(G, record)
  end
  push(l, id, record, single)
  local after = serve(l, b, bucket_name, headerless)
  record = read_record(id) or record
  if record.state then return { record.state, 0, record.seq } end
  if record.turn then hasten(l, id, record) end
  return wait_reply(l, b, id, record, after)
end
