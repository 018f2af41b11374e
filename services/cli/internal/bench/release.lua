-- Release a reservation: give back what it holds, close it, remember the answer.
-- KEYS: three limits, reservation, request, expiry index, log
-- ARGV: reservation id, request memory (s)
local answered = redis.call('GET', KEYS[5])
if answered then return answered end
local at = redis.call('HMGET', KEYS[4], 'amount', 'state')
local answer = 'closed'
if at[2] == 'open' then
  for i = 1, 3 do redis.call('HINCRBY', KEYS[i], 'held', -tonumber(at[1])) end
  redis.call('HSET', KEYS[4], 'state', 'released')
  redis.call('ZREM', KEYS[6], ARGV[1])
  redis.call('XADD', KEYS[7], '*', 'event', 'released', 'reservation', ARGV[1], 'amount', at[1])
  answer = 'released'
end
redis.call('SET', KEYS[5], answer, 'EX', ARGV[2])
return answer
