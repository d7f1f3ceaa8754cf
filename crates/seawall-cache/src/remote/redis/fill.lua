-- KEYS[1]; ARGV: record, TTL in ms, version seen (8 bytes), last moment (Redis clock, µs).
-- Returns {code, version}: 0 stored, 1 moved, 2 late, 3 source too old.
if there.version ~= ARGV[3] then
  return {1, 0}
end
if now > tonumber(ARGV[4]) then
  return {2, 0}
end
local source = string.sub(ARGV[1], 17, 24)
if there.tombstone and older(source, there.source) then
  return {3, 0}
end
local version = next_version()
redis.call('SET', KEYS[1], stamped(ARGV[1], source, version), 'PX', ARGV[2])
return {0, version}
