-- May the bot IDENTIFY? Discord's daily budget first (it resets the token of a bot that uses it up), then the pace.
-- GO shuts the gate; the IDENTIFY is charged when it is sent, not for connections that fail earlier.
-- KEYS[1] budget hash {remaining, reset_at_ms}, KEYS[2] gate of the concurrency group, KEYS[3] a lease hash
-- ARGV[1] floor: refuse at or below it ('' = never refuse), ARGV[2] ms the gate stays shut at most
-- ARGV[3] name of the caller, shard and fence; only it may open the gate again
-- ARGV[4] ms until the next IDENTIFY, ARGV[5] shard that KEYS[3] is the lease of: the gate's holder, if it is known
-- returns {GO, remaining}, {ASK, 0} budget unknown, {LOW, remaining, ms until reset} or {WAIT, ms, shard of the holder}
-- O(1)
local UNSENT = ':unsent' -- follows the name of a holder that has not charged its IDENTIFY yet
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local budget = redis.call('HMGET', KEYS[1], 'remaining', 'reset_at_ms')
local remaining, reset_at_ms = tonumber(budget[1] or nil), tonumber(budget[2] or nil)
if not remaining or not reset_at_ms or now_ms >= reset_at_ms then
  return {'ASK', 0}
end
if ARGV[1] ~= '' and remaining <= tonumber(ARGV[1]) then
  return {'LOW', remaining, reset_at_ms - now_ms}
end
if redis.call('SET', KEYS[2], ARGV[3] .. UNSENT, 'NX', 'PX', ARGV[2]) then
  return {'GO', remaining}
end
local holder, left_ms = redis.call('GET', KEYS[2]), redis.call('PTTL', KEYS[2])
local shard, fence = string.match(holder, '^([^:]*):(%d+)')
local is_unsent = string.sub(holder, -#UNSENT) == UNSENT
-- A holder without its lease is dead or was replaced, and can send no IDENTIFY any more.
local is_gone = shard == ARGV[5] and redis.call('HGET', KEYS[3], 'fence') ~= fence
local is_caller = holder == ARGV[3] .. UNSENT -- the reply that contained GO was lost
if is_caller or (is_gone and is_unsent) then
  redis.call('SET', KEYS[2], ARGV[3] .. UNSENT, 'PX', ARGV[2])
  return {'GO', remaining}
end
local most_ms = tonumber(is_gone and ARGV[4] or ARGV[2])
if left_ms < 0 or left_ms > most_ms then -- a gate always opens again, also if the clock was set back
  redis.call('PEXPIRE', KEYS[2], most_ms)
end
return {'WAIT', redis.call('PTTL', KEYS[2]), shard or ''}
