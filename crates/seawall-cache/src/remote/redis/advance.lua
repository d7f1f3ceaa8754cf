-- ARGV: as above, then `hard`, `soft` or `clear`; of a clear its pattern and whether it is hard.
-- Returns {the new mark, Redis clock}.
if not known then
  -- It may have been anything until now: what is asked for is not all that must go.
  mark = {hard = now, soft = now, clears = {}}
end
local newest = math.max(mark.hard, mark.soft)
for _, clear in ipairs(mark.clears) do
  newest = math.max(newest, clear.version)
end
local version = math.max(now, newest + 1)

local function keep_clears(wanted)
  local kept = {}
  for _, clear in ipairs(mark.clears) do
    if wanted(clear) then
      kept[#kept + 1] = clear
    end
  end
  mark.clears = kept
end

if ARGV[3] == 'hard' then
  mark.hard = version
  mark.clears = {}
elseif ARGV[3] == 'soft' then
  mark.soft = version
  keep_clears(function(clear) return clear.hard end)
else
  local pattern, hard = ARGV[4], ARGV[5] == '1'
  -- The new one says all that an older one of the same pattern says.
  keep_clears(function(clear) return clear.pattern ~= pattern or (clear.hard and not hard) end)
  if #mark.clears >= 64 then
    -- The oldest becomes one of all keys.
    local oldest = table.remove(mark.clears, 1)
    local all = oldest.hard and 'hard' or 'soft'
    mark[all] = math.max(mark[all], oldest.version)
  end
  mark.clears[#mark.clears + 1] = {version = version, hard = hard, pattern = pattern}
end

local after = unparse(mark)
local reply = redis.pcall('SET', KEYS[1], after, 'PX', ARGV[2])
if type(reply) == 'table' and reply.err then
  -- Out of memory: without its mark no entry counts. Who asked is told, and asks again.
  redis.call('DEL', KEYS[1])
  return reply
end
return {after, now}
