-- Writes what has become of incidents in one step: their records, what is stored of them, and how far the
-- alerts are dealt with.
--
-- KEYS  1 fence  2 incident records  3 incidents  4 members  5 acknowledgements
-- ARGV  1 epoch  2 number of this step  3 most records kept  4 until when all alerts are dealt with, in
--       milliseconds
--       then five lists, each its length and its members:
--       records (each a field count, then fields); incidents and members (id, JSON each); incidents and
--       members to forget.
-- Returns ok, again (this step is done already), taken (by another epoch) or gone (the fence went back).
local fence = redis.call('HMGET', KEYS[1], 'epoch', 'commit')
if not fence[1] then return 'gone' end
if fence[1] ~= ARGV[1] then
  if tonumber(fence[1]) < tonumber(ARGV[1]) then return 'gone' end
  return 'taken'
end
local last = tonumber(fence[2] or '0')
local number = tonumber(ARGV[2])
if number == last then return 'again' end
if number ~= last + 1 then return 'gone' end

local at = 5
local function take()
  local value = ARGV[at]
  at = at + 1
  return value
end

for _ = 1, tonumber(take()) do
  local fields = {}
  for i = 1, tonumber(take()) do fields[i] = take() end
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
