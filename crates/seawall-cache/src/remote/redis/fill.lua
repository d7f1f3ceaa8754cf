-- ARGV: channel, record, TTL in ms, version seen (8 bytes), last moment (Redis clock, µs),
-- token (8 bytes, or none), how long traces stay in ms.
-- Returns {code, version, Redis clock}: 0 stored, 1 moved, 2 late, 3 source too old, 4 fenced.
local held = lease()
if held and held.token ~= ARGV[6] then
  return {4, 0, now}
end
local source = string.sub(ARGV[2], 17, 24)
local code, version = 0, 0
if there.version ~= ARGV[4] then
  code = 1
elseif now > tonumber(ARGV[5]) then
  code = 2
elseif there.tombstone and older(source, there.source) then
  code = 3
else
  version = next_version()
  local stays = tonumber(ARGV[3])
  if there ~= NOTHING then
    -- It replaces a trace, perhaps, for loads that began before that: it stays for as long.
    stays = math.max(stays, math.min(redis.call('PTTL', KEYS[1]), tonumber(ARGV[7])))
  end
  redis.call('SET', KEYS[1], stamped(ARGV[2], source, version, ARGV[3]), 'PX', stays)
end
if held then
  end_lease(held)
end
return {code, version, now}
