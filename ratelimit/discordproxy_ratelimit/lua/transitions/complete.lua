-- Part 15: a permit ends with its answer; a lane is served.
-- complete item: {'c', id, route, lane, permit's bucket name, answer, learned bucket name}
--   answer: outcome (see below), age_us, rtt_us, retry_us, hash, limit, remaining, rid, after_us, headerless,
--   works (the token does), refusal, status, code, second (name, limit, after_us: another limiter, as a 429 shows it)
--   reply {the bucket's state to cache, us until the lane's head can leave or -1, another lane or '', known hash};
--   0 us also if the route has another hash by now: the worker then serves the lane in that bucket
-- serve item: {'s', first id or '', route, lane, bucket name, expected hash, former bucket name or nothing}
--   reply as above, without a state

local MAX_PROVEN = 1000

-- The permit's bucket had the call in flight; the answer may speak for another one (`learned`).
local function complete(item, k)
  local id, route, lane_name, a = item[2], item[3], item[4], item[6]
  local l, b, learned = lane(lane_name, KEYS[k], KEYS[k + 1]), bucket(KEYS[k + 2]), bucket(KEYS[k + 3])
  if a.rtt_us > 0 and a.hash and a.rid > 0 then saw_ways(a) end
  a.refused = a.outcome == 'paused' or a.outcome == 'exhausted' or a.outcome == 'global'
  settle(id, l, b, a)
  local hash = lane_hash(route, lane_name)
  if a.hash then
    hash = learn_hash(route, lane_name, a, learned ~= b and learned.limit)
    if hash == a.hash or not b.limit then
      if hash == a.hash and learned ~= b and not learned.limit and b.limit == a.limit then -- it may have a new name only
        learned.leaky, learned.proven, learned.cautious, learned.full = b.leaky, b.proven, b.cautious, b.full
      end
      learn(hash == a.hash and learned or b, a)
    else
      roll(b) -- a call granted ahead of the window's end has not done so
      b.remaining, b.reset = math.min(b.remaining, a.remaining), math.max(b.reset, now - a.age_us + a.after_us)
    end
  elseif a.headerless and not hash then
    store_hash(hash_name(route, lane_name), '-')
    hash = '-'
  elseif a.outcome ~= 'global' then -- whatever limit refused it, ours may have counted it
    count_unseen(b)
  end
  local target = (hash == a.hash) and learned or b
  if target.limit and a.outcome == 'answered' and is_tried(target) then
    target.proven = math.min((target.proven or 0) + 1, MAX_PROVEN)
  end
  outcomes[a.outcome](a, target, l)
  if a.works and count_blocks() > 0 then remove_block('token') end
  if a.refusal then
    block(a.refusal, now + (a.status == 404 and WEBHOOK_GONE or FORBIDDEN), 'refused', a.status, a.code)
  end
  local target_name = (hash == a.hash) and item[7] or item[5]
  if hash and hash ~= '-' and target_name:sub(1, #hash + 1) ~= hash .. '|' then
    return { '', 0, '', known_hash(route, lane_name) }
  end
  local after, other = serve(l, target, target_name, hash == '-')
  return { bucket_state(target), after and integer(after) or -1, other or '', known_hash(route, lane_name) }
end

-- Workers also send this in case something was lost, so the queue is counted anew.
local function serve_item(item, k)
  local route, lane_name, name, expected = item[3], item[4], item[5], item[6]
  local hash, known = lane_hash(route, lane_name) or '', known_hash(route, lane_name)
  if hash ~= expected then return { '', 0, '', known } end
  local l, b = lane(lane_name, KEYS[k], KEYS[k + 1]), bucket(KEYS[k + 2])
  sizes[l.queue] = nil
  if item[7] then inherit(b, KEYS[k + 3]) end
  local after, other = serve(l, b, name, hash == '-')
  local record = item[2] ~= '' and read_record(item[2])
  if record and record.state == 'granted' then
    again(item[2], record) -- the message with the grant was lost
  elseif record and not record.state then
    after = tonumber(wait_reply(l, b, item[2], record, after)[2])
  end
  return { '', after and integer(after) or -1, other or '', known }
end
