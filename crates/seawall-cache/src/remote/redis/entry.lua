-- The start of every script about an entry: what is there, by the layout in record.rs.
-- KEYS: the entry, and its lease unless that is out of reach. ARGV[1]: the channel where the end of a lease is told.
-- Numbers stay exact: versions are microseconds, below 2^53; sources are compared as two halves.
local NOTHING = {version = string.rep('\0', 8), source = string.rep('\0', 8), tombstone = false}

-- pcall: a key of another type is not ours, and is overwritten.
local head = redis.pcall('GETRANGE', KEYS[1], 0, 59)

local function number(bytes)
  local high, low = struct.unpack('>I4I4', bytes)
  return high * 4294967296 + low
end

local function bytes_of(number)
  return struct.pack('>I4I4', math.floor(number / 4294967296), number % 4294967296)
end

local function older(a, b)
  local a_high, a_low = struct.unpack('>I4I4', a)
  local b_high, b_low = struct.unpack('>I4I4', b)
  return a_high < b_high or (a_high == b_high and a_low < b_low)
end

-- A record that stays after its expiry stands for a tombstone.
local function peek(bytes, now)
  if type(bytes) ~= 'string' or #bytes < 24 or string.sub(bytes, 1, 3) ~= 'SWC' then
    return NOTHING
  end
  local version = string.sub(bytes, 9, 16)
  if number(version) >= 9007199254740992 then
    return NOTHING
  end
  local expired = string.byte(bytes, 4) == 2 and #bytes == 60 and number(string.sub(bytes, 37, 44)) <= now
  return {
    version = version,
    source = string.sub(bytes, 17, 24),
    tombstone = expired or string.byte(bytes, 5) == 2,
  }
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local there = peek(head, now)

-- `record` with the version, source and expiry that are L2's to write.
local function stamped(record, source, version, ttl)
  local bytes = string.sub(record, 1, 8) .. bytes_of(version) .. source
  if string.byte(record, 4) == 2 and #record >= 64 then
    -- Redis keeps time in whole milliseconds.
    local expires = now - now % 1000 + tonumber(ttl) * 1000
    return bytes .. string.sub(record, 25, 36) .. bytes_of(expires) .. string.sub(record, 45)
  end
  return bytes .. string.sub(record, 25)
end

local function next_version()
  return math.max(now, number(there.version) + 1)
end

-- The lease: a token of 8 bytes, then whether someone waits for its end. What is not like that is
-- not ours.
local function lease()
  -- While the slot moves, the entry and its lease may be on different nodes: then only the entry
  -- is named, and there is no lease to heed. Versions fence all the same.
  if not KEYS[2] then
    return nil
  end
  local bytes = redis.pcall('GET', KEYS[2])
  if type(bytes) == 'string' and #bytes == 9 then
    return {token = string.sub(bytes, 1, 8), waited_for = string.byte(bytes, 9) ~= 0}
  end
end

local function end_lease(ended)
  if not KEYS[2] then
    return
  end
  redis.call('DEL', KEYS[2])
  if ended.waited_for then
    -- pcall: without the right to publish, who waits finds out by itself.
    redis.pcall('PUBLISH', ARGV[1], KEYS[1])
  end
end

local function end_any_lease()
  local ended = lease()
  if ended then
    end_lease(ended)
  end
end

-- Puts a tombstone there. Returns its version.
local function bury(record, source, ttl)
  local version = next_version()
  local reply = redis.pcall('SET', KEYS[1], stamped(record, source, version, ttl), 'PX', ttl)
  -- Out of memory: without the tombstone a load in flight may come back, but so could the value.
  if type(reply) == 'table' and reply.err then
    redis.call('DEL', KEYS[1])
  end
  end_any_lease()
  return version
end

