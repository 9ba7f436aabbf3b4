-- Writes a slice of detector state if the fence still holds this owner's last commit. A Redis that
-- lost the commit delivers its readings again, so it must not get state that includes them.
--
-- KEYS  1 slices  2 fence
-- ARGV  1 epoch  2 number of the last commit  3 name of the slice  4 JSON
-- Returns 1, or 0 if the fence holds another commit.
--
-- `refusal` returns 'again' if the fence holds this commit.
if refusal(KEYS[2], ARGV[1], ARGV[2]) ~= 'again' then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
return 1
