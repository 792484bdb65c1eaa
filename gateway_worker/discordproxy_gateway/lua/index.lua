-- Shared by the fenced scripts (prepended to them): the order of a member list in about nine bytes a member.
-- The index is a sorted set of leaves, all scores 0. A leaf is its lower bound followed by up to 128 ids in any order,
-- each eight bytes, big-endian; the leaves' bounds ascend, the first one is zero. Ids stay strings: Lua's own
-- comparison of strings depends on the server's locale, its numbers lose digits of an id.
local LEAF_IDS = 128

local function leaf_of(index, id)
  return redis.call('ZREVRANGEBYLEX', index, '[' .. id .. '\255', '-', 'LIMIT', 0, 1)[1]
end

local function place_in(leaf, id)
  local place = string.find(leaf, id, 9, true)
  while place and place % 8 ~= 1 do place = string.find(leaf, id, place + 1, true) end
  return place
end

local function sorted_ids(leaf)
  local ids = {}
  for place = 9, #leaf, 8 do
    local id = string.sub(leaf, place, place + 7)
    local high, low = struct.unpack('>I4>I4', id)
    ids[#ids + 1] = {high, low, id}
  end
  table.sort(ids, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  return ids
end

local function split(index, leaf)
  local ids, halves = sorted_ids(leaf), {{string.sub(leaf, 1, 8)}, {}}
  local middle = math.ceil(#ids / 2)
  halves[2][1] = ids[middle + 1][3]
  for i, id in ipairs(ids) do
    local half = halves[i <= middle and 1 or 2]
    half[#half + 1] = id[3]
  end
  redis.call('ZADD', index, 0, table.concat(halves[1]), 0, table.concat(halves[2]))
end

-- ids: ascending, so that neighbours share one rewrite of their leaf
local function index_ids(index, ids, first, last)
  local leaf, original
  local function store()
    if leaf == original then return end
    if original ~= '' then redis.call('ZREM', index, original) end
    if #leaf > 8 + 8 * LEAF_IDS then split(index, leaf) else redis.call('ZADD', index, 0, leaf) end
  end
  for i = first, last or #ids do
    local home = leaf_of(index, ids[i])
    if not leaf or (home and home ~= original) or #leaf > 8 + 8 * LEAF_IDS then
      if leaf then store() home = leaf_of(index, ids[i]) end
      original = home or ''
      leaf = home or string.rep('\0', 8)
    end
    if not place_in(leaf, ids[i]) then leaf = leaf .. ids[i] end
  end
  if leaf then store() end
end

local function unindex_ids(index, ids, first)
  for i = first, #ids do
    local leaf = leaf_of(index, ids[i])
    local place = leaf and place_in(leaf, ids[i])
    if place then
      redis.call('ZREM', index, leaf)
      redis.call('ZADD', index, 0, string.sub(leaf, 1, place - 1) .. string.sub(leaf, place + 8))
    end
  end
end
