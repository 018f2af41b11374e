-- Reserve on three limits at once: all of them or none. Runs as one atomic step of Redis.
-- KEYS: three limits (hashes: capacity, used, held), reservation, request, expiry index, log
-- ARGV: amount, reservation id, expiry (Unix ms), request memory (s)
local answered = redis.call('GET', KEYS[5])
if answered then return answered end
local amount = tonumber(ARGV[1])
for i = 1, 3 do
  local at = redis.call('HMGET', KEYS[i], 'capacity', 'used', 'held')
  if tonumber(at[1]) - tonumber(at[2]) - tonumber(at[3]) < amount then
    local denial = 'denied ' .. KEYS[i]
    redis.call('SET', KEYS[5], denial, 'EX', ARGV[4])
    redis.call('XADD', KEYS[7], '*', 'event', denial, 'reservation', ARGV[2], 'amount', amount)
    return denial
  end
end
for i = 1, 3 do redis.call('HINCRBY', KEYS[i], 'held', amount) end
redis.call('HSET', KEYS[4], 'amount', amount, 'state', 'open', 'expires', ARGV[3])
redis.call('ZADD', KEYS[6], ARGV[3], ARGV[2])
redis.call('SET', KEYS[5], 'granted', 'EX', ARGV[4])
redis.call('XADD', KEYS[7], '*', 'event', 'granted', 'reservation', ARGV[2], 'amount', amount)
return 'granted'
