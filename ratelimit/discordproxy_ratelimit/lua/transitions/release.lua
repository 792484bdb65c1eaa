-- Part 16: places and permits that end without an answer.
-- cancel item: {'x', id, route, lane, bucket name, 1 if the permit may have been used}   reap item: {'d', ...}
--   replies as of complete, without a state; a permit that was granted in another bucket meanwhile stays, and that
--   bucket's name follows in the reply

local function release(item, k, record, used)
  if record.state and record.bucket ~= item[5] then
    return { '', -1, '', known_hash(item[3], item[4]), record.bucket }
  end
  local id, l, b = item[2], lane(item[4], KEYS[k], KEYS[k + 1]), bucket(KEYS[k + 2])
  if record.state then
    if record.state == 'global' and take_out(KEYS[8], member_of(id, record)) == 1 then
      G.waiting = math.max(0, G.waiting - 1)
    end
    if used then count_unseen(b) end
    settle(id, l, b, used and { age_us = 0 } or nil)
  else
    drop(l, id, record)
    remove_record(id)
  end
  local hash, known_by_now = lane_hash(item[3], item[4]) or '', known_hash(item[3], item[4])
  local known = (hash == '' or hash == '-') and '?' .. item[3] or hash
  if item[5]:sub(1, #known + 1) ~= known .. '|' then return { '', 0, '', known_by_now } end
  local after, other = serve(l, b, item[5], hash == '-')
  return { '', after and integer(after) or -1, other or '', known_by_now }
end

local function nothing(item) return { '', -1, '', known_hash(item[3], item[4]) } end

-- A place left or a permit never used: nothing is charged. One that its worker lost may have been used.
local function cancel(item, k)
  local record = read_record(item[2])
  return record and release(item, k, record, item[6] == 1 and record.state == 'granted') or nothing(item)
end

-- What a dead worker held: a permit may have been used, so it is charged as if sent just now; a place just goes.
local function reap(item, k)
  local record = read_record(item[2])
  if not record or is_alive(record.worker) then return nothing(item) end
  return release(item, k, record, record.state == 'granted')
end
