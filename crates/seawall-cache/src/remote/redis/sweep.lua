-- ARGV: channel, tombstone, how long it stays in ms, the oldest namespace stamp that may stay
-- (8 bytes). Returns {1 if the entry was replaced, Redis clock}.
if there == NOTHING or there.tombstone then
  return {0, now}
end
local format = string.byte(head, 4)
local stamp = NOTHING.version
if format == 2 and #head == 60 then
  stamp = string.sub(head, 53, 60)
elseif format ~= 1 then
  return {0, now}
end
if not older(stamp, ARGV[4]) then
  return {0, now}
end
bury(ARGV[2], NOTHING.source, ARGV[3])
return {1, now}
