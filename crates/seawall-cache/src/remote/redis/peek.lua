-- The start of every writing script: what is under the key, by the layout in record.rs.
-- Numbers stay exact: versions are microseconds, below 2^53; sources are compared as two halves.
local NOTHING = {version = string.rep('\0', 8), source = string.rep('\0', 8), tombstone = false}

local function peek(bytes)
  if type(bytes) ~= 'string' or #bytes < 24 or string.sub(bytes, 1, 3) ~= 'SWC' then
    return NOTHING
  end
  return {
    version = string.sub(bytes, 9, 16),
    source = string.sub(bytes, 17, 24),
    tombstone = string.byte(bytes, 5) == 2,
  }
end

local function older(a, b)
  local a_high, a_low = struct.unpack('>I4I4', a)
  local b_high, b_low = struct.unpack('>I4I4', b)
  return a_high < b_high or (a_high == b_high and a_low < b_low)
end

-- pcall: a key of another type is not ours, and is overwritten.
local there = peek(redis.pcall('GET', KEYS[1]))
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function next_version()
  local high, low = struct.unpack('>I4I4', there.version)
  return math.max(now, high * 4294967296 + low + 1)
end

local function stamped(record, source, version)
  local bytes = struct.pack('>I4I4', math.floor(version / 4294967296), version % 4294967296)
  return string.sub(record, 1, 8) .. bytes .. source .. string.sub(record, 25)
end

