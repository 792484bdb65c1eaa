-- Part 8: the order of waiting calls. Start-time fair queueing: a waiting call gets the virtual time at which its app's
-- turn comes, 1/weight apart; the lowest leaves first. A priority is a head start that is finite, so that no call starves.
local HEAD_START = { high = 1000, normal = 0, low = -1000 }
local RETURNED, RESTORED = -1e9, -1e7 -- after a 429: first of all; known before a restart: before new calls

local function by_arrival(base, seq) return base + (seq % 1e12) / SECOND end

-- clock: the table that holds the queue's virtual time `v` and each app's `finish`. That of the global limit also has
-- `past`, its virtual time one to two seconds ago: an app that had no call while the others sent a burst may catch up.
local function floor_of(clock) return clock.past or clock.v end
local function start_of(clock, app) return math.max(floor_of(clock), clock.finish[app] or 0) end

local function turn(clock, record)
  if record.returned then return by_arrival(RETURNED, record.seq) end
  if record.restored then return by_arrival(RESTORED, record.seq) end
  local start = start_of(clock, record.app)
  clock.finish[record.app] = start + 1 / record.weight
  return start - (HEAD_START[record.priority] or 0)
end

-- `mark`: the virtual time at the instant `marked`
local function remember(clock)
  if now - clock.marked < SECOND then return end
  clock.past = now - clock.marked < 2 * SECOND and clock.mark or clock.v
  clock.mark, clock.marked = clock.v, now
end

-- The queue's virtual time follows the calls that leave it. An app whose finish lies before it starts anew.
local function passed(clock, score, record)
  if score < RESTORED / 2 then return end
  if clock.past then remember(clock) end
  clock.v = math.max(clock.v, score + (HEAD_START[record.priority] or 0))
  for app, finish in pairs(clock.finish) do
    if finish <= floor_of(clock) then clock.finish[app] = nil end
  end
end

-- A record is packed in this order: worker, lane, bucket, seq, state (nil: in its lane's queue; 'global': waits for a
-- slot; 'granted'), exempt, start, spaced, slot_at; of a place or an outdated permit also score, deadline, app, weight,
-- priority, ordered, returned, restored, turn (at the global limit, if it is known already).
local function read_record(id)
  local packed = redis.call('HGET', KEYS[4], id)
  if not packed then return nil end
  local worker, lane_name, bucket_name, seq, state, exempt, start, spaced, slot_at, score, deadline, app, weight,
    priority, ordered, returned, restored, early = cmsgpack.unpack(packed)
  return { worker = worker, lane = lane_name, bucket = bucket_name, seq = seq, state = state, exempt = exempt,
    start = start, spaced = spaced, slot_at = slot_at, score = score, deadline = deadline, app = app, weight = weight,
    priority = priority, ordered = ordered, returned = returned, restored = restored, turn = early }
end

local function packed_record(r)
  if r.state == 'granted' and r.start then
    return cmsgpack.pack(r.worker, r.lane, r.bucket, r.seq, r.state, r.exempt, r.start, r.spaced, r.slot_at)
  end
  return cmsgpack.pack(r.worker, r.lane, r.bucket, r.seq, r.state, r.exempt, r.start, r.spaced, r.slot_at, r.score,
    r.deadline, r.app, r.weight, r.priority, r.ordered, r.returned, r.restored, r.turn)
end

local function count_held()
  if not G.held then G.held = redis.call('HLEN', KEYS[4]) end
  return G.held
end

local function write_record(id, record)
  if count_held() == 0 then touched[KEYS[4]] = true end
  G.held = G.held + redis.call('HSET', KEYS[4], id, packed_record(record))
end

local function remove_record(id)
  G.held = math.max(0, count_held() - redis.call('HDEL', KEYS[4], id))
end

local function next_seq()
  G.seq = math.max(now, G.seq + 1)
  return G.seq
end

local function is_alive(worker)
  if worker == me then return true end
  local lease_end = redis.call('ZSCORE', KEYS[5], worker)
  return lease_end and tonumber(lease_end) > now
end

-- Equal scores leave in the order of their names, so a member starts with its arrival.
local function member_of(id, record) return string.format('%016.0f', record.seq) .. id end
local function id_of(member) return member:sub(17) end

-- single: calls of other apps whose turn comes at the same virtual time leave after this one
local function push(l, id, record, single)
  record.score = turn(l, record) - (single and 0.5 / record.weight or 0)
  write_record(id, record)
  put(l.queue, string.format('%.17g', record.score), member_of(id, record))
  G.waiting = G.waiting + 1
end

local function drop(l, id, record)
  if take_out(l.queue, member_of(id, record)) == 1 then G.waiting = math.max(0, G.waiting - 1) end
end

local function head(l)
  local first = size(l.queue) > 0 and first_of(l.queue)
  if not first then return nil end
  return id_of(first), read_record(id_of(first)), first
end
