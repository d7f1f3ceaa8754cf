-- ARGV: channel, token (8 bytes), how long it is held in ms. Returns {1 if it is ours, Redis clock}.
local held = lease()
if held and held.token == ARGV[2] then
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  return {1, now}
end
-- Out of reach for a moment: whoever has it, the fill looks again.
return {KEYS[2] and 0 or 1, now}
