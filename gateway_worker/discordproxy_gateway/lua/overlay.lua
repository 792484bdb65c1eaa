-- Note what the proxy itself just changed, so that the next read through any worker shows it.
-- A value is "<writes whose events are still to come>:<ms of the last write>:<JSON, empty when deleted>".
-- KEYS[1] overlay hash
-- ARGV[1] object id, ARGV[2] JSON or '', ARGV[3] 'put' or 'merge' (adds to a JSON object), ARGV[4] ms to live
-- ARGV[5] another field that this makes outdated, or ''
-- O(1)
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local pending, json = 1, ARGV[2]
local earlier = redis.call('HGET', KEYS[1], ARGV[1])
if earlier then
  local count, written_ms, text = string.match(earlier, '^(%d+):(%d+):(.*)$')
  if now_ms - written_ms < tonumber(ARGV[4]) then
    pending = count + 1
    if ARGV[3] == 'merge' then
      local merged = cjson.decode(text)
      for name, value in pairs(cjson.decode(json)) do merged[name] = value end
      json = cjson.encode(merged)
    end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f:%s', pending, now_ms, json))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if ARGV[5] ~= '' then redis.call('HDEL', KEYS[1], ARGV[5]) end
