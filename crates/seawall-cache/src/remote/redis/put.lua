-- ARGV: channel, record, TTL in ms, last moment (Redis clock, µs), how long its trace stays in ms.
-- Returns {code, version, Redis clock}: 0 stored, 1 superseded, 2 late.
if now > tonumber(ARGV[4]) then
  return {2, 0, now}
end
local source = string.sub(ARGV[2], 17, 24)
if source ~= NOTHING.source and older(source, there.source) then
  return {1, 0, now}
end
local version = next_version()
redis.call('SET', KEYS[1], stamped(ARGV[2], source, version, ARGV[3]), 'PX', ARGV[5])
end_any_lease()
return {0, version, now}
