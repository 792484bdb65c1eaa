-- Write on behalf of the holder of a lease, outside the sequence of events (status, purges).
-- KEYS[1] fence counter, KEYS[2...] keys of the operations
-- ARGV[1] fence, ARGV[2] operations (MessagePack)
-- returns OK or STALE; O(operations)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 'STALE'
end
write(cmsgpack.unpack(ARGV[2]), server_ms())
return 'OK'
