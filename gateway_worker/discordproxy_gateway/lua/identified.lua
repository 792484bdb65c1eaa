-- Charge an IDENTIFY that is about to be sent and shut the gate at Discord's pace, or open the gate without one.
-- KEYS[1] budget hash {remaining, reset_at_ms}, KEYS[2] gate of the concurrency group
-- ARGV[1] name of the caller of identify.lua, ARGV[2] ms until the next IDENTIFY, '' if this one is not sent
-- returns 1; a gate that another caller has shut meanwhile stays as it is; O(1)
if ARGV[2] ~= '' then
  if redis.call('EXISTS', KEYS[1]) == 1 then -- an expired budget is read from Discord before the next IDENTIFY
    redis.call('HINCRBY', KEYS[1], 'remaining', -1)
  end
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
elseif redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
return 1
