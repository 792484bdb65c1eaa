-- Part 12: requests that Discord refused and that are not repeated for a while, and lanes that pause.
local PROBE = 10 * SECOND -- how long one call may find out whether a refused token works again

local function block(name, till, kind, status, code)
  add_block(name, table.concat({ integer(till), kind, status, code }, ' '))
  if count_blocks() < 1000 then return end
  local scan = redis.call('HSCAN', KEYS[7], '0', 'COUNT', 100)[2]
  for i = 1, #scan, 2 do
    if tonumber(scan[i + 1]:match('^%d+')) < now then remove_block(scan[i]) end
  end
end

local function known_refusal(name)
  local text = blocked(name)
  if not text then return nil end
  local till, status, code = text:match('^(%d+) %S+ (%S+) (%S+)')
  if not till or tonumber(till) <= now then
    if name ~= 'token' then remove_block(name) else block(name, now + PROBE, 'probing', 401, 0) end
    return nil
  end
  return { 'known', tonumber(status), tonumber(code), tonumber(till) - now }
end
