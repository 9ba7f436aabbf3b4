-- Prolongs a tenure. A lease that ran out while nobody else took the partition goes on.
-- KEYS  1 lease  2 fence
-- ARGV  1 who owns it  2 how long the lease lasts, in milliseconds  3 epoch of the tenure
-- Returns 1, or 0 where the tenure is over.
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[3] then return 0 end
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
