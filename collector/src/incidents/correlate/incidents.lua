-- Writes one step of the correlator: new records, the stored state of incidents, and the progress.
--
-- KEYS  1 fence  2 incident records  3 incidents  4 members  5 acknowledgements
-- ARGV  1 epoch  2 number of this step  3 most records kept  4 time before which all alerts are processed,
--       in milliseconds
--       then five lists, each with its length first: records (each a field count, then fields); incidents and
--       members to store (each an id and JSON); incidents and members to delete (each an id).
-- Returns ok, again (this step was written before), taken (by a newer epoch) or gone (the fence went back).
local refused = refusal(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

-- Before the first write: what a script wrote before it failed stays written. Acknowledgements are not needed.
for key, kind in pairs({[2] = 'stream', [3] = 'hash', [4] = 'hash'}) do
  local found = redis.call('TYPE', KEYS[key]).ok
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE ' .. KEYS[key] .. ' is no ' .. kind)
  end
end
local has_acks = redis.call('TYPE', KEYS[5]).ok == 'hash'

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
  if has_acks then redis.call('HDEL', KEYS[5], id) end
end
for _ = 1, tonumber(take()) do redis.call('HDEL', KEYS[4], take()) end
redis.call('HSET', KEYS[1], 'commit', ARGV[2], 'through', ARGV[4])
return 'ok'
