#!lua flags=allow-oom
-- An application's own rate: its calls take turns one interval apart; after a pause some may leave at once.
-- KEYS[1] instant of the next turn (us, Redis' clock)
-- ARGV[1] interval_us   ARGV[2] how much of a pause can be made up for (us)   ARGV[3] longest wait_us
-- returns {1, wait_us}, or {0, wait_us} when the wait would be too long: then no turn was taken
-- Complexity: O(1).
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local turn = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now - ARGV[2])
local wait = math.max(0, turn - now)
if wait > tonumber(ARGV[3]) then return { 0, wait } end
local next_turn = turn + ARGV[1]
redis.call('SET', KEYS[1], string.format('%.0f', next_turn), 'PX', math.ceil((next_turn - now + ARGV[2]) / 1000) + 1)
return { 1, wait }
