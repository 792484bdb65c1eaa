-- Shared by the fenced scripts (prepended to them): runs operations that Python planned.
-- An operation is {command, index in KEYS, argument...}; ids and values are opaque strings.
-- FORGET {index hash}: take the fields of KEYS[i] out of the index, then drop KEYS[i]; a guild has <= 1500 channels.
-- STAMP {field}: set a field to the server's time in ms. INDEX, UNINDEX {ids...}: see index.lua.
-- MEMBER {index, kept bits, id, value}: store a member; one that was not there gets its place in the order.
-- VOICE {guild's state, id, bits, mask}: set bits of a member's first byte; a change renews the stamp of the members.
-- SEEN {JSON or '' when deleted, fields...}: an event of an object that the proxy may have changed (overlay.lua).
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

-- The overlay ends with the event that shows the last of our changes. Another one shows an earlier change,
-- the proxy's or another: then ours is still to come. After a deletion nothing comes.
local function seen(overlay, id, event)
  local value = redis.call('HGET', overlay, id)
  if not value then return end
  local count, rest, text = string.match(value, '^(%d+)(:%d+:(.*))$')
  count = tonumber(count)
  if event == '' then
    count = 0
  elseif text ~= '?' and count == 1 then
    local shown = text ~= '' and cjson.decode(text)
    local same = string.find(id, ':roles', 1, true) and has_roles or agree
    if not shown or not same(shown, cjson.decode(event)) then return end
  end
  redis.call('HSET', overlay, id, string.format('%.0f', math.max(0, count - 1)) .. rest)
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
