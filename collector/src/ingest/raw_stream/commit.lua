-- Ends a batch in one step: alert records, episode changes, dead letters, and last the XACK, so
-- that a Redis out of memory can never acknowledge without the record.
--
-- KEYS  1 raw stream  2 alerts  3 dead letters  4 episodes  5 fence  6 losses  7 ledger
-- ARGV  1 group  2 epoch  3 number of this commit  4 most alerts kept  5 most dead letters kept
--       6 most losses kept
--       then six lists, each its length and its members:
--       ids that are done; alerts, dead letters and losses (each a field count, then fields);
--       changes of episodes and of the ledger (field, JSON, or field and '' to forget it).
-- Returns ok, again (this commit is done already), taken (by another epoch), gone (the fence went
-- back) or behind (an older entry is pending: read that first).
local fence = redis.call('HMGET', KEYS[5], 'epoch', 'commit')
if not fence[1] then return 'gone' end
if fence[1] ~= ARGV[2] then
  if tonumber(fence[1]) < tonumber(ARGV[2]) then return 'gone' end
  return 'taken'
end
local last = tonumber(fence[2] or '0')
local number = tonumber(ARGV[3])
if number == last then return 'again' end
if number ~= last + 1 then return 'gone' end

local at = 7
local function take()
  local value = ARGV[at]
  at = at + 1
  return value
end
local function take_some(count)
  local values = {}
  for i = 1, count do values[i] = take() end
  return values
end

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
redis.call('HSET', KEYS[5], 'commit', ARGV[3])
if #done > 0 then
  redis.call('HSET', KEYS[5], 'done', done[#done])
  -- unpack fails at some 8,000 values on Redis 7.0.
  for from = 1, #done, 4000 do
    redis.call('XACK', KEYS[1], ARGV[1], unpack(done, from, math.min(from + 3999, #done)))
  end
end
return 'ok'
