-- Part 2: tables that are read once and written once in a call, and collections whose size is known without a look.

local SHORT_TTL, LONG_TTL = '3600000', '86400000' -- ms

-- Writes a packed state. Its TTL (ms) is set when it is due: that costs as much as the write.
local function store(key, packed, ttl)
  if ttl then redis.call('SET', key, packed, 'PX', ttl) else redis.call('SET', key, packed, 'KEEPTTL') end
end

-- Sizes of the sorted sets. Those of the account's sets and of a lane's queue are kept in their states.
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
  sizes[key] = math.max(0, before - removed)
  return removed
end

local function first_of(key)
  local first = redis.call('ZRANGE', key, 0, 0)[1]
  if not first then sizes[key] = 0 end -- the set was evicted
  return first
end

-- KEYS[6]: route name -> bucket hash, '-' = it has none, '*' = each lane has its own; then also lane -> bucket hash. A name
-- with ' moved' holds the last change of its hash.
local EACH_LANE = '*'

local function stored_hash(name)
  if routes[name] == nil then routes[name] = redis.call('HGET', KEYS[6], name) end
  return routes[name]
end

-- Of very many hashes of lanes, some are forgotten; the next call of such a lane leaves alone.
local function store_hash(name, hash)
  local most = 10000
  routes[name], touched[KEYS[6]] = hash, true
  if redis.call('HSET', KEYS[6], name, hash) == 0 or redis.call('HLEN', KEYS[6]) < most then return end
  for _, some in ipairs(redis.call('HRANDFIELD', KEYS[6], 10)) do
    if some:find('|', 1, true) and some ~= name then redis.call('HDEL', KEYS[6], some) end
  end
end

-- The name under which a lane's hash is stored.
local function hash_name(route, lane_name) return stored_hash(route) == EACH_LANE and lane_name or route end

local function lane_hash(route, lane_name) return stored_hash(hash_name(route, lane_name)) end

-- What a worker stores of it: nothing = unknown
local function known_hash(route, lane_name)
  return (stored_hash(route) == EACH_LANE and EACH_LANE or '') .. (lane_hash(route, lane_name) or '')
end

-- Most accounts have no block at all, so their number is kept.
local function count_blocks()
  if not G.blocks then G.blocks = redis.call('HLEN', KEYS[7]) end
  return G.blocks
end

local function blocked(name)
  return count_blocks() > 0 and redis.call('HGET', KEYS[7], name) or nil
end

local function add_block(name, text)
  touched[KEYS[7]] = true
  G.blocks = count_blocks() + redis.call('HSET', KEYS[7], name, text)
end

local function remove_block(name)
  G.blocks = count_blocks() - redis.call('HDEL', KEYS[7], name)
end
