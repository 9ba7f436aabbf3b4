-- Renews a lease. One that expired goes on if no other collector took it.
-- KEYS  1 lease  2 fence
-- ARGV  1 owner  2 duration of the lease, in milliseconds  3 epoch of the ownership term
-- Returns 1, or 0 if the ownership term is over.
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[3] then return 0 end
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
