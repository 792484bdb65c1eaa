-- Part 10: the last step to a permit, and its end. The step is a global slot, for a call that its bucket has admitted. A call
-- that still waits for its bucket holds no slot.
local AT_ONCE = 256 -- grants in one step
local LOOKED_AT = 8 -- calls behind the head of a lane among which one of another app is looked for

local function hint(worker, message)
  published = published + redis.call('PUBLISH', channels .. worker, cjson.encode({ KEYS[1], message }))
end

-- A call that has waited for a slot may have been admitted by a bucket that is no longer its route's: its hash was not known
-- yet, or has changed. Then it gets a permit without a start and without a slot, with which its worker acquires again.
local function is_outdated(record)
  local hash = lane_hash(record.lane:match('^(.*)|'), record.lane)
  return hash and hash ~= '-' and record.bucket:match('^(.*)|') ~= hash
end

-- The fifth element of an outdated permit is the hash that its route has by now.
local function grant_message(id, record)
  if record.start then return { 'G', id, integer(math.max(0, record.start - now)), record.bucket } end
  return { 'G', id, 0, record.bucket, known_hash(record.lane:match('^(.*)|'), record.lane) }
end

local function deliver(id, record, delay)
  record.state, record.start = 'granted', delay and now + delay
  write_record(id, record)
  local message = grant_message(id, record)
  if record.worker == me then grants[#grants + 1] = message else hint(record.worker, message) end
end

local function with_slot(id, record, slot, at, delay)
  record.spaced, record.slot_at = slot == KEYS[3], at > now and at or nil
  deliver(id, record, math.max(delay, at - now))
end

-- The lowest turn at the global limit that a waiting call of a lane has. Calls that must leave before it leave at that
-- turn, too: an app's call does not wait until other apps' calls in the same lane have got through a long backlog.
local function early_turn(l)
  local owner = l.early and read_record(l.early)
  if owner and not owner.state then return owner.turn, owner.priority end
end

-- A waiting call of a lane has its turn at the global limit: the call of the lane that waits for a slot takes it over.
local function hasten(l, id, record)
  local earlier = l.early ~= id and early_turn(l)
  if earlier and earlier <= record.turn then return end
  l.early = id
  local ahead = l.line and read_record(l.line)
  if not ahead or ahead.state ~= 'global' or ahead.score <= record.turn then return end
  ahead.score, ahead.priority, stirred = record.turn, record.priority, true
  put(KEYS[8], string.format('%.17g', ahead.score), member_of(l.line, ahead))
  write_record(l.line, ahead)
end

-- The call of a lane that its bucket has admitted and that waits for a slot
local function ahead_of(l)
  local ahead = size(KEYS[8]) > 0 and l.line and read_record(l.line)
  return ahead and ahead.state == 'global' and ahead or nil
end

-- Whether a call without a turn waits behind another app's call that its own turn would precede.
local function is_behind_other_app(l, record, ahead)
  if not ahead or ahead.app == record.app then return false end
  if record.turn or record.exempt or record.returned or record.restored then return false end
  local start = start_of(G, record.app) - (HEAD_START[record.priority] or 0)
  return start < ahead.score and start < (early_turn(l) or math.huge)
end

local function has_other_apps(l, app)
  for other in pairs(l.finish) do
    if other ~= app then return true end
  end
end

-- The first waiting call of a lane that is of another app or has its turn already; else the head.
local function first_of_others(l, app, id, record)
  for _, member in ipairs(redis.call('ZRANGE', l.queue, 1, LOOKED_AT)) do
    local other = read_record(id_of(member))
    if other and (other.turn or other.app ~= app) then return id_of(member), other end
  end
  return id, record
end

-- The head of a lane must wait. If a call of another app is ahead of it, or of the first calls behind it, this call takes
-- its turn at the global limit now; with each call that leaves, the next one does.
local function hasten_line(l, id, record)
  local ahead = not record.turn and ahead_of(l)
  if ahead and ahead.app == record.app and has_other_apps(l, ahead.app) then
    id, record = first_of_others(l, ahead.app, id, record)
  end
  if is_behind_other_app(l, record, ahead) then
    record.turn = turn(G, record)
    write_record(id, record)
  end
  if record.turn then hasten(l, id, record) end
end

-- A call that its bucket has admitted waits in `gq` while the global limit binds.
local function to_global(l, id, record, delay)
  if l.early == id then l.early = nil end
  if record.exempt then return deliver(id, record, delay) end
  if size(KEYS[8]) == 0 then
    local slot, at = take_slot(id, record.priority == 'high')
    if slot then return with_slot(id, record, slot, at, delay) end
  end
  record.state = 'global'
  record.score = record.turn or turn(G, record)
  local earlier, priority = early_turn(l)
  if earlier and earlier < record.score then record.score, record.priority = earlier, priority end
  if size(KEYS[8]) == 0 then G.rush = now end
  put(KEYS[8], string.format('%.17g', record.score), member_of(id, record))
  write_record(id, record)
  if not l.line or l.infl == 1 then l.line = id end
  G.waiting, stirred = G.waiting + 1, true
end

-- Hands out the free global slots. returns nil, or us until the next attempt, and whether the next
-- permit is this worker's own
local function pump()
  for _ = 1, AT_ONCE do
    local first = size(KEYS[8]) > 0 and first_of(KEYS[8])
    if not first then return nil end
    local id = id_of(first)
    local record = read_record(id)
    if not record then
      take_out(KEYS[8], first)
    elseif is_outdated(record) then
      take_out(KEYS[8], first)
      G.waiting, stirred = math.max(0, G.waiting - 1), true
      deliver(id, record)
    else
      local slot, at = take_slot(id, record.priority == 'high')
      if not slot then
        local again = at and math.max(0, at - now) or SECOND / 10
        -- The worker of the first call must come for the slot: the worker that changed the line may never call again.
        if stirred and record.worker ~= me then hint(record.worker, { 'P', '', integer(again) }) end
        return again, record.worker == me
      end
      take_out(KEYS[8], first)
      G.waiting, stirred = math.max(0, G.waiting - 1), true
      passed(G, record.score, record)
      with_slot(id, record, slot, at, 0)
    end
  end
  return 0, true
end

-- a: the answer; nil if nothing was sent
local function settle(id, l, b, a)
  local packed = redis.call('HGET', KEYS[4], id)
  if not packed then return end
  local _, _, _, _, _, exempt, _, spaced, slot_at = cmsgpack.unpack(packed)
  remove_record(id)
  b.infl, l.infl = math.max(0, b.infl - 1), math.max(0, l.infl - 1)
  l.ended = log_end(l, id, a)
  if l.line == id then l.line = nil end
  if not exempt then free_slot(id, spaced, a and now - a.age_us + SECOND - sure_latency() or slot_at) end
end
