-- Takes a lease that no collector holds.
-- KEYS  1 lease  2 fence
-- ARGV  1 new owner  2 duration of the lease, in milliseconds
-- Returns the epoch of the new ownership term, or 0 if another collector holds the lease.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return redis.call('HINCRBY', KEYS[2], 'epoch', 1)
end
return 0
