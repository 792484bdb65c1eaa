-- Shared by the fenced scripts (prepended to them): runs operations that Python planned.
-- An operation is {command, index in KEYS, argument...}; ids and values are opaque strings.
-- FORGET {index hash}: take the fields of KEYS[i] out of the index, then drop KEYS[i]; a guild has <= 1500 channels.
-- STAMP {field}: set a field to the server's time in ms. INDEX, UNINDEX {ids...}: see index.lua.
-- MEMBER {index, kept bits, id, value}: store a member; one that was not there gets its place in the order.
-- VOICE {guild's state, id, bits, mask}: set bits of a member's first byte; a change renews the stamp of the members.
-- SEEN {JSON, 'null' when gone, '' when deleted for good, fields...}: an event of an object that the proxy may have
-- changed (pending.lua).
-- SEEN_LIST {JSON of each object by id, as JSON}: the same for all objects of a kind.
-- RENEW {fields...}: set fields to a value that they never had, unless the hash is gone.
-- PRUNE {index hash, parent ids...}: drop threads whose parent is named; a guild has <= 1000 active threads.
local function server_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lua can hand over some 8000 words at once: a command takes its words in slices, pairs stay together.
local SLICE = 1000
local function call_in_slices(command, key, words, first)
  for from = first, math.max(first, #words), SLICE do
    redis.call(command, key, unpack(words, from, math.min(from + SLICE - 1, #words)))
  end
end

local function drop_fields(key, fields)
  if #fields > 0 then call_in_slices('HDEL', key, fields, 1) end
end

-- Whether two JSON values agree in the fields that both have, in any order of lists.
local function agree(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end
  if #a ~= #b then return false end
  for name, value in pairs(a) do
    local found = b[name] == nil or agree(value, b[name])
    for i = 1, #a > 0 and not found and #b or 0 do found = found or agree(value, b[i]) end
    if not found then return false end
  end
  return true
end

local function has_roles(changed, member)
  local roles = {}
  for _, role in ipairs(member.roles or {}) do roles[role] = true end
  for role, added in pairs(changed) do
    if (roles[role] or false) ~= added then return false end
  end
  return true
end

-- Whether an event, nil for a deletion, shows a change of the proxy.
local function shows(event, change)
  if change.json == UNKNOWN then return false end
  if change.json == '' or not event then return change.json == '' and not event end
  return (change.kind == '+' and has_roles or agree)(cjson.decode(change.json), event)
end

-- Return the number of the first changes to come that have come with an event.
local function count_shown(pending, event)
  local last = 0
  for place, each in ipairs(pending) do
    local shown = shows(event, each)
    if shown then last = place end
    -- The event of a change shows those after it, too, if they changed nothing. Before a deletion everything has come.
    if shown ~= (event ~= nil) then break end
  end
  return last
end

-- Remove the changes that have come with an event from those to come; return whether there were any.
local function take(change, event)
  local pending, first, count = change.pending, 1, 0
  if change.text ~= UNKNOWN then
    count = count_shown(pending, event)
  else -- in any order
    for place, each in ipairs(pending) do
      if count == 0 and shows(event, each) then first, count = place, 1 end
    end
  end
  for _ = 1, count do table.remove(pending, first) end
  return count > 0
end

-- The overlay of an object ends when the events of all our changes have come. An event that shows none of them is
-- another's change: ours is still to come. After a deletion for good nothing comes.
local function seen(overlay, field, event)
  local value = redis.call('HGET', overlay, field)
  if not value then return end
  local change = parse_change(field, value)
  if #change.pending == 0 then return end
  local object = event ~= '' and cjson.decode(event)
  local taken = take(change, type(object) == 'table' and object or nil)
  if not taken and event ~= '' then return end
  if not taken then change.pending = {} end
  redis.call('HSET', overlay, field, format_change(change))
end

-- The event of a whole list shows every object of it; what is not in it may not have been created yet.
local function seen_list(overlay, event)
  local fields = redis.call('HKEYS', overlay)
  if #fields == 0 then return end
  local objects = cjson.decode(event)
  for _, field in ipairs(fields) do seen(overlay, field, objects[field] or 'null') end
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

local function renew(key, fields, first)
  if redis.call('EXISTS', key) == 0 then return end
  local time = redis.call('TIME')
  for i = first, #fields do redis.call('HSET', key, fields[i], time[1] .. '.' .. time[2]) end
end

-- Return a member's value with the bits of `mask` in its first byte taken from another byte.
local function with_bits(value, byte, mask)
  local own = bit.band(string.byte(value), bit.bnot(mask))
  return string.char(bit.bor(own, bit.band(byte, mask))) .. string.sub(value, 2)
end

local function put_member(members, index, op)
  local kept, id, value = op[4], op[5], op[6]
  local before = kept > 0 and redis.call('HGET', members, id)
  if before then value = with_bits(value, string.byte(before), kept) end
  if redis.call('HSET', members, id, value) > 0 then index_ids(index, op, 5, 5) end
end

local function set_voice_bits(members, meta, op)
  local before = redis.call('HGET', members, op[4])
  local after = before and with_bits(before, op[5], op[6])
  if after ~= before then
    redis.call('HSET', members, op[4], after)
    renew(meta, {'members'}, 1)
  end
end

-- Returns the APPEND operations, which run last. An operation that fails ends the script, what was written stays, and the
-- writer repeats the other operations: that changes at most a count of members, but an appended event would be doubled.
local function write(operations, now_ms)
  local appends = {}
  for _, op in ipairs(operations) do
    local command, key = op[1], KEYS[op[2]]
    if command == 'APPEND' then
      appends[#appends + 1] = op
    elseif command == 'STAMP' then
      redis.call('HSET', key, op[3], string.format('%.0f', now_ms))
    elseif command == 'SEEN' then
      for i = 4, #op do seen(key, op[i], op[3]) end
    elseif command == 'SEEN_LIST' then
      seen_list(key, op[3])
    elseif command == 'MEMBER' then
      put_member(key, KEYS[op[3]], op)
    elseif command == 'VOICE' then
      set_voice_bits(key, KEYS[op[3]], op)
    elseif command == 'INDEX' then
      index_ids(key, op, 3)
    elseif command == 'UNINDEX' then
      unindex_ids(key, op, 3)
    elseif command == 'FORGET' then
      drop_fields(KEYS[op[3]], redis.call('HKEYS', key))
      redis.call('UNLINK', key)
    elseif command == 'RENEW' then
      renew(key, op, 3)
    elseif command == 'PRUNE' then
      prune(key, KEYS[op[3]], op)
    else
      call_in_slices(command, key, op, 3)
    end
  end
  return appends
end
