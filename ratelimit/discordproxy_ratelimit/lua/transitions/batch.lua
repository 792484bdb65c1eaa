-- Part 17: the call itself. Endings come before acquires in every batch, so that what they free is used at once.
-- restore item: {'r', '', route, lane, bucket name, state, age_us, hash}: what a worker has cached of a bucket
-- adopt item: {'o', id, route, lane, bucket name, exempt}: a permit whose request is on its way
local function restore(item, k)
  local b = bucket(KEYS[k + 2])
  local limit, remaining, left, rid, leaky, step, period = item[6]:match('^(%d+)|(%d+)|(%d+)|(%d+)|(%d*)|(%d+)|(%d+)$')
  local reset = now + math.max(0, tonumber(left) - item[7])
  local each_lane, hash = item[8]:match('^(%*?)(.*)$')
  if each_lane ~= '' and not stored_hash(item[3]) then store_hash(item[3], EACH_LANE) end
  local hash_is_of = hash_name(item[3], item[4])
  if hash ~= '' and not stored_hash(hash_is_of) then store_hash(hash_is_of, hash) end
  if b.limit and b.rid > tonumber(rid) then return {} end
  local worse = b.limit and b.rid == tonumber(rid)
  b.remaining = worse and math.min(b.remaining, tonumber(remaining)) or tonumber(remaining)
  b.reset = worse and math.max(b.reset, reset) or reset
  b.limit, b.rid, b.opened = tonumber(limit), tonumber(rid), now
  b.leaky = leaky ~= '' and leaky or nil
  b.step, b.period = tonumber(step) > 0 and tonumber(step) or nil, tonumber(period) > 0 and tonumber(period) or nil
  return {}
end

local function adopt(item, k)
  local id = item[2]
  if redis.call('HEXISTS', KEYS[4], id) == 1 then return {} end
  local l, b = lane(item[4], KEYS[k], KEYS[k + 1]), bucket(KEYS[k + 2])
  write_record(id, { worker = me, lane = item[4], route = item[3], state = 'granted', start = now, bucket = item[5],
    exempt = item[6], seq = next_seq() })
  b.infl, l.infl = b.infl + 1, l.infl + 1
  log_sent(l, id)
  if not item[6] then put(KEYS[2], IN_FLIGHT, id) end
  return {}
end

-- {'g'}: this worker holds nothing any more; its heartbeat pauses until its next acquire.
local function deregister()
  redis.call('ZREM', KEYS[5], me)
  return {}
end

local function nothing_more() return {} end

local NOTHING = {}
local ORDER = { 'n', 'r', 'o', 'c', 'd', 'x', 's', 'a', 'g' }
local transitions = { n = nothing_more, g = deregister, r = restore, o = adopt, c = complete, d = reap, x = cancel,
  s = serve_item, a = acquire }

local function apply(items)
  local replies, present = {}, {}
  for _, item in ipairs(items) do present[item[1]] = true end
  for _, wanted in ipairs(ORDER) do
    for i, item in ipairs(present[wanted] and items or NOTHING) do
      if item[1] == wanted then replies[i] = transitions[wanted](item, 10 + (i - 1) * 4) end
    end
  end
  return replies
end

local function run_call(keys, arguments)
  begin(keys, arguments)
  open_call()
  local replies = apply(cjson.decode(ARGV[8]))
  local again, own = pump()
  for _, l in pairs(lanes) do save_lane(l); save_second(l) end
  for _, b in pairs(buckets) do save_bucket(b) end
  local dead, next_dead = dead_worker()
  close_call()
  return { replies, grants, again and integer(again) or '', own and 1 or 0, dead, published, was_expired and 1 or 0,
    integer(next_dead) }
end
