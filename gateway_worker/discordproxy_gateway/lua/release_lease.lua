-- Release the caller's lease and wake the standbys.
-- KEYS[1] lease hash, KEYS[2] channel
-- ARGV[1] owner
-- returns 1 when released, 0 when another owner holds it; O(1)
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', KEYS[2], '')
return 1
