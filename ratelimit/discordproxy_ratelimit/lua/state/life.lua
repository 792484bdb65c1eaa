-- Part 3: how a call begins and ends. `run` names one life of the state; a server that forgot begins another one.
local TEXTS = { 'finish', 'run', 'server', 'told' }
local NUMBERS = { 'recover', 'clock', 'seq', 'blocked', 'shrink', 'shrunk', 'there', 'there_old', 'back', 'back_old',
  'ways', 'ways_at', 'phase', 'crowd', 'arrived', 'waiting', 'v', 'kept' }

-- A server that is not the one we knew may have forgotten anything: its places and permits are void, its buckets
-- unknown, and the last second counts as full until the workers have told what they remember.
local function forget()
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[8])
  sizes = {}
  G.waiting, G.recover, G.clock, G.told = 0, now + SECOND, 0, server
  G.run = server .. '@' .. integer(now)
end

local function open_call()
  local time = ARGV[1] ~= '' and { 0, ARGV[1] } or redis.call('TIME')
  now = tonumber(time[1]) * SECOND + tonumber(time[2])
  local names = { unpack(TEXTS) }
  for _, name in ipairs(NUMBERS) do names[#names + 1] = name end
  local f = redis.call('HMGET', KEYS[1], unpack(names))
  for i, name in ipairs(names) do
    G.before[name] = f[i]
    G[name] = i > #TEXTS and (tonumber(f[i]) or 0) or f[i]
  end
  G.finish = G.finish and cjson.decode(G.finish) or {}
  local clock_fell_back = G.clock - now > 10 * SECOND
  local another = ARGV[4] ~= 'kept' and G.server and G.server ~= server
  if clock_fell_back or another or (ARGV[4] == '1' and G.told ~= server) then forget() end
  now = math.max(now, G.clock)
  G.server, G.run, G.clock = server, G.run or server .. '@0', now
  run = G.run
  local lease_end = tonumber(redis.call('ZSCORE', KEYS[5], me) or 0)
  stranger = lease_end <= now -- so others may have given back what it held
  redis.call('ZADD', KEYS[5], integer(now + lease_us), me)
end

-- No key lives without a TTL: what this call touched gets a new one, the rest once a minute.
local function close_call()
  local after = { finish = next(G.finish) and cjson.encode(G.finish) or '{}' }
  local all = now - G.kept > MINUTE
  if all then G.kept = now end
  for _, name in ipairs({ 'run', 'server', 'told' }) do after[name] = G[name] or '' end
  for _, name in ipairs(NUMBERS) do after[name] = string.format('%.17g', G[name]) end
  save(KEYS[1], G.before, after)
  touched[KEYS[1]], touched[KEYS[5]] = true, true
  for i = 1, 9 do
    local lasting = i == 6 or i == 7 or i == 9
    if all or touched[KEYS[i]] then redis.call('PEXPIRE', KEYS[i], lasting and 86400000 or 3600000) end
  end
end
