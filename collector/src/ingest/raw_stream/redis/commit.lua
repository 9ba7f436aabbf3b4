-- Ends a batch in one step: alert records, episode changes, dead letters, and last the XACK, so
-- that a Redis out of memory can never acknowledge without the record.
--
-- KEYS  1 raw stream  2 alerts  3 dead letters  4 episodes  5 fence  6 losses  7 loss ledger
--       8 clock offsets  9 tally  10 requests to resolve alerts
-- ARGV  1 group  2 epoch  3 number of this commit  4 most alerts kept  5 most dead letters kept
--       6 most losses kept
--       then eight lists, each its length and its members:
--       ids of the batch; alerts, dead letters and losses (each a field count, then fields);
--       changes of episodes, of the loss ledger and of clock offsets (field, JSON, or field and '' to
--       delete it); alerts whose requests are done; then the readings that were late, duplicate and conflicting, and
--       those of devices beyond the bound.
-- Returns ok, a refusal of the fence, or behind (an older entry is pending: read that first).
local refused = refusal(KEYS[5], ARGV[2], ARGV[3])
if refused then return refused end

at = 7
local done = take_some(tonumber(take()))
if #done > 0 then
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)
  if not pending[1] then return 'gone' end
  if pending[1][1] ~= done[1] then return 'behind' end
end

local function add(key, most)
  for _ = 1, tonumber(take()) do
    local fields = take_some(tonumber(take()))
    redis.call('XADD', key, 'MAXLEN', '~', most, '*', unpack(fields))
  end
end
add(KEYS[2], ARGV[4])
add(KEYS[3], ARGV[5])
add(KEYS[6], ARGV[6])
local function change(key)
  for _ = 1, tonumber(take()) do
    local field, json = take(), take()
    if json == '' then redis.call('HDEL', key, field) else redis.call('HSET', key, field, json) end
  end
end
change(KEYS[4])
change(KEYS[7])
change(KEYS[8])
for _ = 1, tonumber(take()) do redis.call('HDEL', KEYS[10], take()) end
local newest = {conflicting = 'conflict', beyond = 'last_beyond', undescribed = 'last_undescribed'}
for _, name in ipairs({'late', 'duplicate', 'conflicting', 'beyond', 'undescribed'}) do
  local readings = tonumber(take())
  if readings > 0 then
    redis.call('HINCRBY', KEYS[9], name, readings)
    if newest[name] and #done > 0 then redis.call('HSET', KEYS[9], newest[name], done[#done]) end
  end
end
redis.call('HSET', KEYS[5], 'commit', ARGV[3])
if #done > 0 then
  redis.call('HSET', KEYS[5], 'done', done[#done])
  -- unpack fails at some 8,000 values on Redis 7.0.
  for from = 1, #done, 4000 do
    redis.call('XACK', KEYS[1], ARGV[1], unpack(done, from, math.min(from + 3999, #done)))
  end
end
return 'ok'
