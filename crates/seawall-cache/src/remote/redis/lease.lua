-- ARGV: channel, version seen (8 bytes), token (8 bytes), how long it is held in ms.
-- Returns {code, ms, Redis clock}: 0 granted, 1 held for so long, 2 moved.
if there.version ~= ARGV[2] then
  return {2, 0, now}
end
local held = lease()
if held and held.token ~= ARGV[3] then
  local left = redis.call('PTTL', KEYS[2])
  -- Without a TTL it is not ours.
  if left >= 0 then
    if not held.waited_for then
      redis.call('SET', KEYS[2], held.token .. '\1', 'KEEPTTL')
    end
    return {1, left, now}
  end
  held = nil
end
if not KEYS[2] then
  -- Out of reach for a moment: some load twice, and the second fill sees that the version moved.
  return {0, 0, now}
end
local waits = (held and held.waited_for) and '\1' or '\0'
redis.call('SET', KEYS[2], ARGV[3] .. waits, 'PX', ARGV[4])
return {0, 0, now}
