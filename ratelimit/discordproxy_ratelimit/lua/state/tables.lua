-- Part 2: tables that are read once and written once in a call.

-- Writes what has changed only: most of a state stays as it is from call to call.
local function save(key, before, after)
  local fields = {}
  for name, value in pairs(after) do
    if before[name] ~= value then fields[#fields + 1] = name; fields[#fields + 1] = value end
  end
  for name, value in pairs(before) do
    if value and after[name] == nil then redis.call('HDEL', key, name) end
  end
  if #fields > 0 then redis.call('HSET', key, unpack(fields)) end
  return #fields > 0
end

-- Sorted sets whose size this call knows without asking again.
local function size(key)
  if not sizes[key] then sizes[key] = redis.call('ZCARD', key) end
  return sizes[key]
end

local function put(key, score, member)
  local before = size(key)
  if before == 0 then touched[key] = true end
  sizes[key] = before + redis.call('ZADD', key, score, member)
end

local function take_out(key, member)
  local before = size(key)
  local removed = redis.call('ZREM', key, member)
  sizes[key] = before - removed
  return removed
end

local function route_hash(route)
  if routes[route] == nil then routes[route] = redis.call('HGET', KEYS[6], route) end
  return routes[route]
end

local function learn_route(route, hash)
  routes[route], touched[KEYS[6]] = hash, true
  redis.call('HSET', KEYS[6], route, hash)
end

local function blocked(name)
  if blocks == nil then blocks = redis.call('HLEN', KEYS[7]) end
  return blocks > 0 and redis.call('HGET', KEYS[7], name) or nil
end
