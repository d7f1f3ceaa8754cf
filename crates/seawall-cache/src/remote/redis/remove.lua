-- KEYS[1]; ARGV: tombstone, how long it stays in ms. Returns Redis's clock.
local source = string.sub(ARGV[1], 17, 24)
if (there.tombstone or source ~= NOTHING.source) and older(source, there.source) then
  source = there.source
end
local record = stamped(ARGV[1], source, next_version())
local reply = redis.pcall('SET', KEYS[1], record, 'PX', ARGV[2])
-- Out of memory: without the tombstone a load in flight may come back, but so could the old value.
if type(reply) == 'table' and reply.err then
  redis.call('DEL', KEYS[1])
end
return now
