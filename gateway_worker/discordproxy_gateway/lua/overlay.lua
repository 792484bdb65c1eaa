-- Store a change of the proxy itself, so that the next read through any worker shows it.
-- A value is "<writes whose events are still to come>:<ms of the last write>:<JSON, empty when deleted>". Without
-- events to come it is not shown, but still holds the time of the last write.
-- Two concurrent writes may have taken effect in either order, whatever the order of their answers:
-- then the JSON is "?", the state is unknown, and readers query Discord.
-- KEYS[1] overlay hash
-- ARGV[1] object id, ARGV[2] JSON or '', ARGV[3] 'put' or 'merge' (adds to a JSON object), ARGV[4] ms to live
-- ARGV[5] field beside it with another part of the same object, or '': a put makes it outdated
-- ARGV[6] ms since the write left, ARGV[7] '1' when the caches show it already
-- ARGV[8], ARGV[9] what stood in the field, and beside it, before the caches were looked at
-- Returns 0 when an event that was to come then has come since: the caches may have changed, check again.
-- O(1)
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local sent_ms = now_ms - ARGV[6]

local function read(value)
  if not value or value == '' then return end
  local count, written_ms, text = string.match(value, '^(%d+):(%d+):(.*)$')
  if math.abs(now_ms - written_ms) < tonumber(ARGV[4]) then -- the clock may have been set back
    return {pending = tonumber(count), text = text, overlaps = tonumber(written_ms) > sent_ms}
  end
end

local function waits(change) return change and change.pending > 0 end

local earlier = read(redis.call('HGET', KEYS[1], ARGV[1]))
local beside = read(ARGV[5] ~= '' and redis.call('HGET', KEYS[1], ARGV[5]))
local still_to_come = waits(earlier) or waits(beside)
if ARGV[7] == '1' and not still_to_come and (waits(read(ARGV[8])) or waits(read(ARGV[9]))) then return 0 end
local pending, json = 1, ARGV[2]
local unsure = beside and beside.overlaps
if earlier then
  local same = earlier.text == json
  if ARGV[3] == 'merge' and earlier.text == '?' then
    unsure = unsure or earlier.pending > 0
  elseif ARGV[3] == 'merge' then
    local merged = cjson.decode(earlier.text)
    same = true
    for name, value in pairs(cjson.decode(json)) do
      same = same and merged[name] == value
      unsure = unsure or (earlier.overlaps and merged[name] ~= nil and merged[name] ~= value)
      merged[name] = value
    end
    json = cjson.encode(merged)
  elseif earlier.overlaps and not same then
    unsure = true
  end
  -- Writing the same once more brings no event.
  pending = earlier.pending + ((same and earlier.pending > 0) and 0 or 1)
end
if unsure then
  json = '?'
elseif ARGV[7] == '1' and not still_to_come then
  pending = 0
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f:%s', pending, now_ms, json))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if ARGV[3] == 'put' and beside then redis.call('HDEL', KEYS[1], ARGV[5]) end
return 1
