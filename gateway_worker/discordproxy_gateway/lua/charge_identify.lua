-- Charge an IDENTIFY that is about to be sent; the gate stays shut until end_turn.lua.
-- KEYS[1] budget hash {remaining, reset_at_ms}, KEYS[2] gate of the concurrency group
-- ARGV[1] name of the caller of identify.lua, ARGV[2] ms the gate stays shut at most
-- returns 1; 0 if another caller has shut the gate meanwhile: then the IDENTIFY must not be sent; O(1)
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] and holder ~= ARGV[1] .. ':unsent' then
  return 0
end
if redis.call('EXISTS', KEYS[1]) == 1 then -- an expired budget is read from Discord before the next IDENTIFY
  redis.call('HINCRBY', KEYS[1], 'remaining', -1)
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
