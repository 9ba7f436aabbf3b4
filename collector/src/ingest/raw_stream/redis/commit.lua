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
-- A key of the wrong type is an error before anything is written, but for clock offsets, tally and requests, which are
-- left alone then.
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

local function take_lists(count)
  local lists = {}
  for i = 1, tonumber(take()) do lists[i] = take_some(count or tonumber(take())) end
  return lists
end
local alerts, dead, losses = take_lists(), take_lists(), take_lists()
local episodes, agents, clocks = take_lists(2), take_lists(2), take_lists(2)
local resolved = take_some(tonumber(take()))

local function holds(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == 'none' or found == kind
end
-- Before the first write: what a script wrote before it failed stays written.
for _, needed in ipairs({
  {KEYS[2], 'stream', alerts}, {KEYS[3], 'stream', dead}, {KEYS[6], 'stream', losses},
  {KEYS[4], 'hash', episodes}, {KEYS[7], 'hash', agents},
}) do
  local key, kind, values = unpack(needed)
  if #values > 0 and not holds(key, kind) then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is no ' .. kind)
  end
end

local function add(key, entries, most)
  for _, fields in ipairs(entries) do
    redis.call('XADD', key, 'MAXLEN', '~', most, '*', unpack(fields))
  end
end
add(KEYS[2], alerts, ARGV[4])
add(KEYS[3], dead, ARGV[5])
add(KEYS[6], losses, ARGV[6])
local function change(key, changes)
  for _, change in ipairs(changes) do
    local field, json = unpack(change)
    if json == '' then redis.call('HDEL', key, field) else redis.call('HSET', key, field, json) end
  end
end
change(KEYS[4], episodes)
change(KEYS[7], agents)
-- Evaluation goes on without these three keys.
if #clocks > 0 and holds(KEYS[8], 'hash') then change(KEYS[8], clocks) end
if #resolved > 0 and holds(KEYS[10], 'hash') then
  for _, alert in ipairs(resolved) do redis.call('HDEL', KEYS[10], alert) end
end
local newest = {conflicting = 'conflict', beyond = 'last_beyond', undescribed = 'last_undescribed'}
for _, name in ipairs({'late', 'duplicate', 'conflicting', 'beyond', 'undescribed'}) do
  local readings = tonumber(take())
  if readings > 0 and holds(KEYS[9], 'hash') then
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
