-- Who is alive, and what operators ordered.
--
-- KEYS: nodes (sorted set: id -> time of the last beat), orders (sorted set:
-- subject -> number), terms (hash: subject -> `until;made`), head (hash: epoch, number).
-- ARGV: 'beat', id, horizon, epoch, number
--    or 'order', subject, for how long (0 lifts a block), channel to tell it on
--    or 'leave', id
-- All times in microseconds. Every key has a TTL, which beats renew.
local function seawall_limit_control(keys, argv)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local nodes, orders, terms, head = keys[1], keys[2], keys[3], keys[4]
  local month, day = 2592000, 86400000000
  if argv[1] == 'leave' then
    redis.call('ZREM', nodes, argv[2])
    return { now }
  end
  local epoch = redis.call('HGET', head, 'epoch')
  if not epoch then
    epoch = string.format('%.0f', now) .. argv[2]
    redis.call('HSET', head, 'epoch', epoch)
    redis.call('DEL', orders, terms)
  end
  local number = tonumber(redis.call('HGET', head, 'number') or 0)
  local function keep()
    for i = 2, 4 do redis.call('EXPIRE', keys[i], month) end
  end
  if argv[1] == 'order' then
    local lasts = tonumber(argv[3])
    local till = 0
    if lasts > 0 then till = now + lasts end
    number = redis.call('HINCRBY', head, 'number', 1)
    redis.call('ZADD', orders, number, argv[2])
    redis.call('HSET', terms, argv[2], string.format('%.0f;%.0f', till, now))
    -- Some at another place each time: long blocks do not keep what came after them for ever.
    local from = number % redis.call('ZCARD', orders)
    for _, old in ipairs(redis.call('ZRANGE', orders, from, from + 15)) do
      local u, made = string.match(redis.call('HGET', terms, old) or '', '^(%d+);(%d+)$')
      u, made = tonumber(u or 0), tonumber(made or 0)
      if u < now and made + day < now then
        redis.call('ZREM', orders, old)
        redis.call('HDEL', terms, old)
      end
    end
    keep()
    redis.call('PUBLISH', argv[4], string.format('%.0f', number))
    return { now, number }
  end
  redis.call('ZADD', nodes, string.format('%.0f', now), argv[2])
  redis.call('ZREMRANGEBYSCORE', nodes, '-inf', string.format('(%.0f', now - tonumber(argv[3])))
  -- From a clock since set back.
  redis.call('ZREMRANGEBYSCORE', nodes, string.format('(%.0f', now), '+inf')
  redis.call('EXPIRE', nodes, month)
  keep()
  local answer = { now, redis.call('ZCARD', nodes), epoch, number, 0 }
  local from = tonumber(argv[5])
  if argv[4] ~= epoch or from > number then
    from = 0
    answer[5] = 1
  end
  if from < number or answer[5] == 1 then
    local page = redis.call('ZRANGEBYSCORE', orders, string.format('(%.0f', from), '+inf', 'WITHSCORES', 'LIMIT', 0, 500)
    for i = 1, #page, 2 do
      local till = string.match(redis.call('HGET', terms, page[i]) or '', '^(%d+);')
      answer[#answer + 1] = page[i]
      answer[#answer + 1] = tonumber(till or 0)
    end
    if #page == 1000 then answer[4] = tonumber(page[#page]) end
  end
  return answer
end
