-- ARGV: channel, token (8 bytes), how long it is held in ms. Returns {1 if it is ours, Redis clock}.
local held = lease()
if held and held.token == ARGV[2] then
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  return {1, now}
end
return {0, now}
