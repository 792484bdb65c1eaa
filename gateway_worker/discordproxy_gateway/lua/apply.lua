-- Apply a batch of events in one atomic step: fence, session and sequence first, then every write, then the sequence.
-- So the stored sequence never runs ahead of the data, and a successor resumes exactly where the data ends.
-- KEYS[1] fence counter, [2] session hash, [3] status hash, [4] stream, [5] stream meta, [6] eras hash
-- KEYS[7] exists while an application follows the stream, [8] while one follows interactions
-- KEYS[9...] keys of the operations
-- ARGV[1] fence, [2] session id, [3] sequence expected in the session ('' begins it), [4] new sequence
-- ARGV[5] ms the last event has waited, [6] operations (MessagePack), [7] session fields (MessagePack list, begin only)
-- ARGV[8] epoch for a stream that has none (begin only), [9] ms to keep stream entries, [10] entries to keep
-- ARGV[11] ms until which the streams of earlier eras are complete, 0 if unknown, '' if there are none
-- ARGV[12] era, [13] shard id, [14] number of shards
-- returns {OK, followers}: 0 none, 1 of events, 2 of interactions; {STALE}, {SESSION_LOST} or {SEQ_MISMATCH, stored sequence}; O(operations)
local SESSION_MS = 3600000
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('HGET', KEYS[6], 'now') ~= ARGV[12] then
  return {'STALE'}
end
local begins = ARGV[3] == ''
if not begins then
  local stored = redis.call('HMGET', KEYS[2], 'id', 'seq')
  if stored[1] ~= ARGV[2] then return {'SESSION_LOST'} end
  if stored[2] ~= ARGV[3] then return {'SEQ_MISMATCH', stored[2]} end
end

local now_ms = server_ms()
local appends = write(cmsgpack.unpack(ARGV[6]), now_ms)
local last, appended
local function append(stream, op)
  last = last or tonumber(redis.call('HGET', KEYS[5], 'n') or 0)
  last = last + 1
  appended = true
  redis.call('XADD', stream, '*', 'n', string.format('%.0f', last), unpack(op, 3))
end

if begins then
  local known = redis.call('HSETNX', KEYS[5], 'epoch', ARGV[8]) == 0
  local lost_from = known and redis.call('HGET', KEYS[3], 'as_of') or ARGV[11]
  if lost_from ~= '' then
    append(KEYS[4], {'APPEND', 4, 't', 'GAP', 'from', lost_from, 'to', string.format('%.0f', now_ms)})
  end
  redis.call('HSET', KEYS[6], ARGV[12] .. ':' .. ARGV[13], ARGV[14])
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], unpack(cmsgpack.unpack(ARGV[7])))
end
for _, op in ipairs(appends) do append(KEYS[op[2]], op) end
if appended then
  redis.call('HSET', KEYS[5], 'n', string.format('%.0f', last))
  redis.call('XTRIM', KEYS[4], 'MINID', '~', string.format('%.0f', now_ms - ARGV[9]))
  redis.call('XTRIM', KEYS[4], 'MAXLEN', '~', ARGV[10])
end
redis.call('HSET', KEYS[2], 'seq', ARGV[4])
redis.call('PEXPIRE', KEYS[2], SESSION_MS)
-- Every call of the connection extends them; the streams of an ended era expire.
redis.call('PEXPIRE', KEYS[4], string.format('%.0f', math.max(SESSION_MS, 2 * ARGV[9])))
redis.call('PEXPIRE', KEYS[5], string.format('%.0f', math.max(SESSION_MS, 2 * ARGV[9])))
redis.call('HSET', KEYS[3], 'as_of', string.format('%.0f', now_ms - ARGV[5]))
local followers = redis.call('MGET', KEYS[7], KEYS[8])
return {'OK', followers[2] and 2 or followers[1] and 1 or 0}
