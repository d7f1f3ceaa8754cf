-- Decides on, or amends, the quotas of subjects. One string per subject holds
-- the theoretical arrival time (TAT) of each of its policies that is not full,
-- in microseconds of Redis's clock, and the emission and the capacity by which it
-- was written: `bids=1763758800123456,1200000,60000000;api=..;`. Whoever comes
-- with another law finds the same share spent.
--
-- All numbers are integers below 2^53, where a double is exact: TATs are at
-- most now + 2^51, which stays below it until the year 2184.
--
-- KEYS: the subjects, of one slot.
-- ARGV: 'decide' or 'amend'; divisor; count of policies; of each its name,
-- emission and capacity; then of each subject
--   decide: need, want          amend: since, an amount of each policy
-- Answer: now; of each subject the units granted, what was mended (0, 1: a
-- value that is not ours, 2: no TTL), and the spent part of each policy.
local function seawall_limit(keys, argv)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local furthest = now + 2251799813685248
  local amends = argv[1] == 'amend'
  local divisor = tonumber(argv[2])
  local count = tonumber(argv[3])
  local names, emissions, capacities, laws = {}, {}, {}, {}
  for i = 1, count do
    names[i] = argv[3 * i + 1]
    emissions[i] = tonumber(argv[3 * i + 2])
    capacities[i] = tonumber(argv[3 * i + 3])
    laws[i] = ',' .. argv[3 * i + 2] .. ',' .. argv[3 * i + 3]
  end
  local at = 3 * count + 4
  local answer = { now }
  for _, key in ipairs(keys) do
    local value = redis.pcall('GET', key)
    local tats, marks, mended, changed = {}, {}, 0, false
    if type(value) == 'string' then
      local read = 0
      for name, tat, law in string.gmatch(value, '([%w_.~-]+)=(%d+)([,%d]*);') do
        tats[name] = math.min(tonumber(tat), furthest)
        marks[name] = law
        read = read + #name + #tat + #law + 2
      end
      if read ~= #value then mended = 1 end
    elseif value then
      mended = 1
    end
    local spent, units = {}, nil
    for i = 1, count do
      if mended == 1 then
        spent[i] = capacities[i]
      else
        local used = math.max((tats[names[i]] or now) - now, 0)
        local mark = marks[names[i]]
        if used > 0 and mark ~= laws[i] and mark ~= '' then
          changed = true
          local e, c = string.match(mark, '^,(%d+),(%d+)$')
          e, c = tonumber(e or 0), tonumber(c or 0)
          if e < 1 or c < e or c > 2251799813685248 then
            -- No law of ours.
            used = capacities[i]
          else
            used = math.min(used, c)
            local full = c - used < e
            used = math.ceil(used / c * capacities[i]) + 1
            if full then used = math.max(used, capacities[i] - emissions[i] + 1) end
          end
        end
        spent[i] = math.min(used, capacities[i])
      end
      local left = math.floor((capacities[i] - spent[i]) / emissions[i])
      if not units or left < units then units = left end
    end
    local granted, writes, keep = 0, mended == 1 or changed, {}
    if amends then
      local since = tonumber(argv[at])
      for i = 1, count do
        local amount = tonumber(argv[at + i])
        -- Not meant: it stays as it is, under the law that it was written by.
        keep[i] = amount == 0 and mended ~= 1
        if since < 0 then
          spent[i] = math.min(spent[i] + amount, capacities[i])
        else
          -- What has refilled since the grant is not given back again.
          if since > 0 then amount = math.max(amount - math.max(now - since, 0), 0) end
          spent[i] = math.max(spent[i] - amount, 0)
        end
      end
      at = at + 1 + count
      writes = true
    else
      local need, want = tonumber(argv[at]), tonumber(argv[at + 1])
      at = at + 2
      if need > 0 and units >= need then
        granted = need + math.min(want, math.floor((units - need) / divisor))
        for i = 1, count do spent[i] = spent[i] + granted * emissions[i] end
        writes = true
      elseif need > 0 and mended == 0 and redis.call('PTTL', key) == -1 then
        mended = 2
        writes = true
      end
    end
    if writes then
      for i = 1, count do
        if not keep[i] then
          tats[names[i]] = now + spent[i]
          marks[names[i]] = laws[i]
        end
      end
      local parts, last = {}, now
      for name, tat in pairs(tats) do
        if tat > now then
          parts[#parts + 1] = name .. '=' .. string.format('%.0f', tat) .. marks[name] .. ';'
          if tat > last then last = tat end
        end
      end
      if last > now then
        -- Value and TTL in one command: there is no moment without.
        redis.call('SET', key, table.concat(parts), 'PX', string.format('%.0f', math.ceil((last - now) / 1000)))
      else
        redis.call('DEL', key)
      end
    end
    answer[#answer + 1] = granted
    answer[#answer + 1] = mended
    for i = 1, count do answer[#answer + 1] = spent[i] end
  end
  return answer
end
