-- Part 11: from the head of a lane to a bucket that agrees.
local SCHEDULED = 8 -- permits of one lane that may be granted ahead of their instant

local function is_global_idle() return size(KEYS[8]) == 0 and now >= math.max(G.blocked, G.recover) end

local function lightly_used()
  return is_global_idle() and not is_half_taken()
end

-- Of the lanes that wait for one bucket, the one whose head came first, except those that a limit of their own holds
-- back: they take nothing from the bucket yet. returns nil when it is this lane's turn; with `behind` it never is
local function earlier_lane(b, l, bucket_name, behind)
  local first = not behind and l.name or nil
  for other, seq in pairs(b.heads) do
    if other ~= l.name then
      if (lane_hash(other:match('^(.*)|'), other) or '?') ~= bucket_name:match('^(.*)|') then
        b.heads[other] = nil -- its route has moved to another bucket
      elseif (not b.heads[first or ''] or seq < b.heads[first]) and not is_held_back(other) then
        first = other
      end
    end
  end
  return first ~= l.name and first or nil
end

local function is_blocked(l) return math.max(l.paused, G.recover) > now end

local function start_instant(b, l, record, headerless)
  if is_blocked(l) then return nil, math.max(l.paused, G.recover) end
  if record.ordered and l.infl > 0 then return nil end
  local open, later = second_instant(l)
  if not open and not later then return nil end
  if headerless then return open, later end
  local free, at = available(b, l)
  if free >= 1 then return open, later end
  return nil, at and math.max(at, later or 0)
end

-- Grants all that can leave, and what will leave at a known instant while the global limit is idle.
-- returns us until the head can leave (nil: an answer must come first) and the name of another lane to serve
local function serve(l, b, bucket_name, headerless)
  local ahead = 0
  for _ = 1, AT_ONCE do
    local id, record, member = head(l)
    b.heads[l.name] = record and record.seq or nil
    if not id then return nil, not headerless and earlier_lane(b, l, bucket_name) end
    if not record or record.deadline < now or not is_alive(record.worker) then
      take_out(l.queue, member)
      remove_record(id)
      G.waiting = math.max(0, G.waiting - 1)
    else
      local other = not headerless and earlier_lane(b, l, bucket_name)
      if other then return nil, other end
      local at, later = start_instant(b, l, record, headerless)
      local in_time = later and later <= record.deadline and not is_blocked(l) and not second_of(l)
      if not at and in_time and ahead < SCHEDULED and lightly_used() then
        at, ahead = later, ahead + 1
      end
      if not at then
        hasten_line(l, id, record)
        if later and record.worker ~= me then hint(record.worker, { 'S', l.name, integer(later - now) }) end
        local next_one = not headerless and is_held_back(l.name) and earlier_lane(b, l, bucket_name, true)
        return later and later - now or nil, next_one or nil
      end
      take_out(l.queue, member)
      G.waiting = math.max(0, G.waiting - 1)
      passed(l, record.score, record)
      record.bucket = bucket_name
      charge(b, l, id)
      to_global(l, id, record, at - now)
    end
  end
  return 0
end
