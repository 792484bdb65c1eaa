-- Prolong a lease that is still ours. A lease that is gone is never taken back here: a new term needs a new fence.
-- KEYS[1] lease hash
-- ARGV[1] owner, ARGV[2] lease_ms
-- returns 1 when prolonged, 0 when lost; O(1)
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
