-- ARGV: channel, tombstone, how long it stays in ms. Returns {its version, Redis clock}.
local source = string.sub(ARGV[2], 17, 24)
if (there.tombstone or source ~= NOTHING.source) and older(source, there.source) then
  source = there.source
end
return {bury(ARGV[2], source, ARGV[3]), now}
