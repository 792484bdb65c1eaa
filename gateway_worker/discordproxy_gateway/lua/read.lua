-- Run read commands in one atomic step, so that no event is applied between an object and its overlay.
-- KEYS all keys of the commands; ARGV[1] commands (MessagePack)
-- returns {TIME, reply of each command...}; O(what is read)
local replies = { redis.call('TIME') }
for place, command in ipairs(cmsgpack.unpack(ARGV[1])) do
  replies[place + 1] = redis.call(unpack(command))
end
return replies
