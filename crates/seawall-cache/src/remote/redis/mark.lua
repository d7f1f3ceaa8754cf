-- The start of the scripts about a mark: what is there, by the layout in marks/bytes.rs.
-- KEYS: the mark. ARGV: how far back a missing mark lies in µs, its TTL in ms.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function number(bytes, at)
  local high, low = struct.unpack('>I4I4', bytes, at)
  local version = high * 4294967296 + low
  return version < 9007199254740992 and version or nil
end

local function bytes_of(number)
  return struct.pack('>I4I4', math.floor(number / 4294967296), number % 4294967296)
end

-- The mark that `bytes` stand for, if they are one to the last byte.
local function parse(bytes)
  if type(bytes) ~= 'string' or #bytes < 22 or string.sub(bytes, 1, 4) ~= 'SWM\1' then
    return nil
  end
  local mark = {hard = number(bytes, 5), soft = number(bytes, 13), clears = {}}
  local count = struct.unpack('>I2', bytes, 21)
  if not mark.hard or mark.hard == 0 or not mark.soft or count > 64 then
    return nil
  end
  local at = 23
  for i = 1, count do
    if #bytes < at + 10 then
      return nil
    end
    local length = struct.unpack('>I2', bytes, at + 9)
    local clear = {
      version = number(bytes, at),
      hard = string.byte(bytes, at + 8) ~= 0,
      pattern = string.sub(bytes, at + 11, at + 10 + length),
    }
    if not clear.version or #clear.pattern ~= length then
      return nil
    end
    mark.clears[i] = clear
    at = at + 11 + length
  end
  if at ~= #bytes + 1 then
    return nil
  end
  return mark
end

local function unparse(mark)
  local parts = {'SWM\1', bytes_of(mark.hard), bytes_of(mark.soft), struct.pack('>I2', #mark.clears)}
  for _, clear in ipairs(mark.clears) do
    parts[#parts + 1] = bytes_of(clear.version) .. (clear.hard and '\1' or '\0')
      .. struct.pack('>I2', #clear.pattern) .. clear.pattern
  end
  return table.concat(parts)
end

-- pcall: a key of another type is not ours, and is overwritten.
local bytes = redis.pcall('GET', KEYS[1])
local mark = parse(bytes)
local known = mark ~= nil
if not mark then
  -- What it was before is not known; only if it is missing may loads in flight go on.
  local version = bytes and now or now - tonumber(ARGV[1])
  mark = {hard = version, soft = version, clears = {}}
end

