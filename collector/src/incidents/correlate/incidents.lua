-- Writes what has become of incidents in one step: their records, what is stored of them, and how far the
-- alerts are dealt with.
--
-- KEYS  1 fence  2 incident records  3 incidents  4 members  5 acknowledgements
-- ARGV  1 epoch  2 number of this step  3 most records kept  4 until when all alerts are dealt with, in
--       milliseconds
--       then five lists, each its length and its members:
--       records (each a field count, then fields); incidents and members (id, JSON each); incidents and
--       members to forget.
-- Returns ok, or a refusal of the fence.
local refused = refusal(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

at = 5
for _ = 1, tonumber(take()) do
  local fields = take_some(tonumber(take()))
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(fields))
end
for _, key in ipairs({KEYS[3], KEYS[4]}) do
  for _ = 1, tonumber(take()) do
    local id = take()
    redis.call('HSET', key, id, take())
  end
end
for _ = 1, tonumber(take()) do
  local id = take()
  redis.call('HDEL', KEYS[3], id)
  redis.call('HDEL', KEYS[5], id)
end
for _ = 1, tonumber(take()) do redis.call('HDEL', KEYS[4], take()) end
redis.call('HSET', KEYS[1], 'commit', ARGV[2], 'through', ARGV[4])
return 'ok'
