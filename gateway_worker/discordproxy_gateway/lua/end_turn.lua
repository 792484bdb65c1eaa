-- Shut the gate for Discord's pace after an IDENTIFY, or open it without one.
-- KEYS[1] gate of the concurrency group
-- ARGV[1] name of the caller of identify.lua, ARGV[2] ms until the next IDENTIFY, 0 for none
-- returns 1; a gate that another caller has shut meanwhile stays as it is; O(1)
local holder = redis.call('GET', KEYS[1])
local is_own = holder == ARGV[1] or holder == ARGV[1] .. ':unsent'
if ARGV[2] ~= '0' and (not holder or is_own) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
elseif is_own then
  redis.call('DEL', KEYS[1])
end
return 1
