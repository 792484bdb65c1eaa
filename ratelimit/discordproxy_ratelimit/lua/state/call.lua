#!lua flags=allow-oom
-- The broker's script, part 1: the data of one call. The parts are joined in the order of store.PARTS.
--
-- One call applies a batch of transitions of one account (a credential: the bot, an address, a bearer token) in
-- one atomic step. Each state (the account's, a lane's, a bucket's) is one packed value: it is read once per call and
-- written back once at its end.
--
-- KEYS[1] g       packed  global limit, clock, counters   KEYS[6] routes  hash  see tables.lua
-- KEYS[2] slots   zset    global slots -> free_at_us      KEYS[7] blocks  hash  name -> 'until_us kind status code'
-- KEYS[3] paced   zset    the evenly spaced global slots  KEYS[8] gq      zset  permits that lack a global slot only
-- KEYS[4] held    hash    id -> record of every place and permit
-- KEYS[5] workers zset    worker -> lease end_us          KEYS[9] seconds hash  lane -> limiters that its 429s revealed
-- then four per item: lane (packed), queue (zset), bucket (packed), other bucket (packed)
-- ARGV[1] now_us or '' (Redis TIME)   ARGV[2] worker   ARGV[3] run id of the server   ARGV[4] '1' = lost its data, 'kept' = it has not
-- ARGV[5] global limit   ARGV[6] lease_us   ARGV[7] channel prefix   ARGV[8] items, JSON
-- returns {per item replies, grants for this worker, us until the next global slot or '', whether its permit is this
--   worker's, a dead worker or '', hints published, whether this worker was counted as dead until now, us until
--   a call may report another dead worker}
-- Complexity: O(log n) per item and grant, O(256) for a lane with a second limiter, O(8) for one in which several
-- applications wait; nothing here loops over a queue.
local SECOND, MINUTE = 1000000, 60000000
local IN_FLIGHT = 1e17 -- score of a slot whose request is not answered yet

-- Of the call that runs. A function library keeps these variables between calls, so `begin` sets all of them.
local KEYS, ARGV
local me, server, lease_us, channels, most_slots
local run -- names one life of the state; whatever carries another one is void
local now, G -- us; the account's state
local buckets, lanes, grants, published, was_expired
local sizes, routes, touched -- sizes of sorted sets; hashes of routes; keys that may lack a TTL
local tidied, stirred -- whether free slots were removed; whether the global line has changed

local function begin(keys, arguments)
  KEYS, ARGV = keys, arguments
  me, server, lease_us, channels = ARGV[2], ARGV[3], tonumber(ARGV[6]), ARGV[7]
  most_slots = math.max(1, tonumber(ARGV[5]))
  run, now, G = nil, 0, nil
  buckets, lanes, grants, published, was_expired = {}, {}, {}, 0, false
  sizes, routes, touched = {}, {}, {}
  tidied, stirred = false, false
end

local function integer(value) return string.format('%.0f', value) end
local function whole(value) return value and math.floor(value + 0.5) end
