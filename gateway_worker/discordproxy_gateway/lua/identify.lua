-- May the bot IDENTIFY? Discord's daily budget first (it resets the token of a bot that uses it up), then the pace.
-- GO shuts the gate; the IDENTIFY is charged when it is sent, not for connections that fail earlier.
-- KEYS[1] budget hash {remaining, reset_at_ms}, KEYS[2] gate of the concurrency group
-- ARGV[1] floor: refuse at or below it ('' = never refuse), ARGV[2] ms the gate stays shut at most
-- ARGV[3] name of the caller, shard and fence; only it may open the gate again
-- ARGV[4] ms until the next IDENTIFY
-- returns {GO, remaining}, {ASK, 0} budget unknown, {LOW, remaining, ms until reset} or {WAIT, ms}; O(1)
local function shard_of(name)
  return string.match(name, '^(.*):')
end
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
if not redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PX', ARGV[2]) then
  local holder, left_ms = redis.call('GET', KEYS[2]), redis.call('PTTL', KEYS[2])
  if left_ms < 0 or left_ms > tonumber(ARGV[2]) then -- a gate always opens again, also if the clock was set back
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
  elseif holder ~= ARGV[3] and shard_of(holder) == shard_of(ARGV[3]) and left_ms > tonumber(ARGV[4]) then
    redis.call('PEXPIRE', KEYS[2], ARGV[4]) -- of the shard's former leader, which can send no IDENTIFY any more
  end
  return {'WAIT', redis.call('PTTL', KEYS[2])}
end
return {'GO', remaining}
