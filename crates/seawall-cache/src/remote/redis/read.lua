-- KEYS[1]. Returns {bytes or nil, remaining ms, Redis clock in µs}: one moment, so that the
-- remaining time is that of these bytes.
local bytes = redis.pcall('GET', KEYS[1])
if type(bytes) == 'table' then
  -- Another type: foreign, not absent. An empty string is foreign too.
  bytes = ''
end
local time = redis.call('TIME')
return {bytes, redis.call('PTTL', KEYS[1]), tonumber(time[1]) * 1000000 + tonumber(time[2])}
