-- Returns {the mark, Redis clock}.
local ttl = tonumber(ARGV[2])
if not known then
  bytes = unparse(mark)
  redis.call('SET', KEYS[1], bytes, 'PX', ttl)
elseif redis.call('PTTL', KEYS[1]) < ttl / 2 then
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return {bytes, now}
