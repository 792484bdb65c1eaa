-- Store a change of the proxy itself, so that the next read through any worker shows it.
-- pending.lua has the format of a field. Without events to come it is not shown, but still holds the time of the last write.
-- Two concurrent writes may have taken effect in either order, whatever the order of their answers:
-- then the JSON is "?", the state is unknown, and readers query Discord until all events have come.
-- KEYS[1] overlay hash
-- ARGV[1] object id, ARGV[2] JSON, '' or '?', ARGV[3] 'put' or 'merge' (adds to a JSON object), ARGV[4] ms to live
-- ARGV[5] field beside it with another part of the same object, or '': a put makes it outdated
-- ARGV[6] ms since the write left, ARGV[7] '1' when the caches show it already
-- ARGV[8], ARGV[9] what stood in the field, and beside it, before the caches were looked at
-- Returns 0 when an event that was to come then has come since: the caches may have changed, check again.
-- O(changes to come), at most MAX_PENDING
local MAX_PENDING = 32
local field, json, merges, life_ms, beside_field = ARGV[1], ARGV[2], ARGV[3] == 'merge', tonumber(ARGV[4]), ARGV[5]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local sent_ms = time[1] * 1000 + time[2] / 1000 - ARGV[6] -- not rounded: a write just before it does not overlap

local function lives(written_ms) return math.abs(now_ms - written_ms) < life_ms end -- the clock may have been set back

local function read(name, value)
  if not value or value == '' then return end
  local change = parse_change(name, value)
  if not lives(change.written_ms) then return end
  change.overlaps = change.written_ms > sent_ms
  return change
end

local function waits(change) return change and #change.pending > 0 end

local earlier = read(field, redis.call('HGET', KEYS[1], field))
local beside = read(beside_field, beside_field ~= '' and redis.call('HGET', KEYS[1], beside_field))
local still_to_come = waits(earlier) or waits(beside)
if ARGV[7] == '1' and not still_to_come and (waits(read(field, ARGV[8])) or waits(read(beside_field, ARGV[9]))) then
  return 0
end

local same = earlier and earlier.text == json and json ~= UNKNOWN
local unsure = json == UNKNOWN or (waits(earlier) and earlier.text == UNKNOWN) or (beside and beside.overlaps)
if earlier and merges and earlier.text ~= UNKNOWN then
  local known, added = cjson.decode(earlier.text), cjson.decode(json)
  local merged = waits(earlier) and cjson.decode(earlier.text) or {}
  same = true
  for name, value in pairs(added) do
    same = same and known[name] == value
    unsure = unsure or (earlier.overlaps and known[name] ~= nil and known[name] ~= value)
    merged[name] = value
  end
  json = cjson.encode(merged)
elseif earlier and not merges then
  unsure = unsure or (earlier.overlaps and not same)
end

-- Of a member, roles that were changed after it was put wait for the events of both; a put ends the field of the roles.
local first = waits(beside) and (not merges or not waits(earlier)) and beside or earlier
local pending = {}
for _, each in ipairs(first and first.pending or {}) do
  if lives(each.ms) then pending[#pending + 1] = each end -- another event shows no such state any more
end
-- Writing the same once more brings no event.
if not (same and waits(earlier) and (merges or not waits(beside))) then
  pending[#pending + 1] = {ms = now_ms, kind = kind_of(field), json = json}
end
if #pending > MAX_PENDING then pending = {{ms = now_ms, kind = ':', json = UNKNOWN}} end -- shown until its time is over
if not unsure and ARGV[7] == '1' and not still_to_come then pending = {} end
redis.call('HSET', KEYS[1], field, format_change({
  written_ms = now_ms, text = unsure and UNKNOWN or json, pending = pending,
}))
redis.call('PEXPIRE', KEYS[1], life_ms)
if not merges and beside then redis.call('HDEL', KEYS[1], beside_field) end
return 1
