-- Renew the caller's lease. An expired lease is not acquired again here: a new term needs a new fence.
-- KEYS[1] lease hash, KEYS[2] number of shards of the current leaders
-- ARGV[1] owner, ARGV[2] lease_ms, ARGV[3] number of shards
-- returns 1 when renewed, 0 when lost; O(1)
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
