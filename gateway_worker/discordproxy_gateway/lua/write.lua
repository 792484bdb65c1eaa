-- Shared by the fenced scripts (prepended to them): runs operations that Python planned.
-- An operation is {command, index in KEYS, argument...}; ids and values are opaque strings.
-- FORGET {index hash}: take the fields of KEYS[i] out of the index, then drop KEYS[i]; a guild has <= 1500 channels.
-- STAMP {field}: set a field to the server's time in ms. INDEX, UNINDEX {ids...}: see index.lua.
-- SEEN {ids...}: the event of one of our own changes has come; with the last one its overlay ends (overlay.lua).
-- PRUNE {index hash, parent ids...}: drop threads whose parent is named; a guild has <= 1000 active threads.
local function server_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function drop_fields(key, fields)
  for first = 1, #fields, 1000 do
    redis.call('HDEL', key, unpack(fields, first, math.min(first + 999, #fields)))
  end
end

local function seen(overlay, id)
  local value = redis.call('HGET', overlay, id)
  if not value then return end
  local count, rest = string.match(value, '^(%d+)(:.*)$')
  if tonumber(count) <= 1 then
    redis.call('HDEL', overlay, id)
  else
    redis.call('HSET', overlay, id, string.format('%.0f', count - 1) .. rest)
  end
end

local function prune(key, index, op)
  local parents, gone = {}, {}
  for i = 4, #op do parents[op[i]] = true end
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if parents[cjson.decode(all[i + 1]).parent_id] then gone[#gone + 1] = all[i] end
  end
  drop_fields(key, gone)
  drop_fields(index, gone)
end

local function write(operations, now_ms, append)
  for _, op in ipairs(operations) do
    local command, key = op[1], KEYS[op[2]]
    if command == 'APPEND' then
      append(key, op)
    elseif command == 'STAMP' then
      redis.call('HSET', key, op[3], string.format('%.0f', now_ms))
    elseif command == 'SEEN' then
      for i = 3, #op do seen(key, op[i]) end
    elseif command == 'INDEX' then
      index_ids(key, op, 3)
    elseif command == 'UNINDEX' then
      unindex_ids(key, op, 3)
    elseif command == 'FORGET' then
      drop_fields(KEYS[op[3]], redis.call('HKEYS', key))
      redis.call('UNLINK', key)
    elseif command == 'PRUNE' then
      prune(key, KEYS[op[3]], op)
    else
      redis.call(command, key, unpack(op, 3))
    end
  end
end
