#!lua flags=allow-oom
-- Tables of records that all workers share. A change is made only if the fields still are as its worker has read them.
-- KEYS[1] hash: field -> record
-- ARGV[1] 'read' | 'change'   ARGV[2] ms the table is kept after its last use
-- change only: ARGV[3] and on: field, record before, record after, field ...; '' is no field
-- returns {field, record, ...} after reading; '' after a change, or the first field that another worker has changed
-- Complexity: O(fields) to read, O(changed fields) to change.
if ARGV[1] == 'read' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return redis.call('HGETALL', KEYS[1])
end
for i = 3, #ARGV, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return ARGV[i] end
end
for i = 3, #ARGV, 3 do
  if ARGV[i + 2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return ''
