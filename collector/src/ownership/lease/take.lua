-- Takes a partition that nobody owns.
-- KEYS  1 lease  2 fence
-- ARGV  1 who takes it  2 how long the lease lasts, in milliseconds
-- Returns the epoch of the new tenure, or 0 where somebody owns the partition.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return redis.call('HINCRBY', KEYS[2], 'epoch', 1)
end
return 0
