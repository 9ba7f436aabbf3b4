-- Moves the position of one reader of a stream forward, and its group to the position of the last reader. While the
-- position of one is missing or unreadable, the group stays: that reader goes on from there.
-- KEYS: the stream, the hash of this reader, the hashes of the other readers of the group.
-- ARGV: the group, the position, the consumer of the group.

local function parts(id)
    local ms, seq = string.match(id or '', '^(%d+)%-(%d+)$')
    return tonumber(ms), tonumber(seq)
end

local function is_before(a, b)
    local a_ms, a_seq = parts(a)
    local b_ms, b_seq = parts(b)
    return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

local stored = redis.call('HGET', KEYS[2], 'position')
-- A former leader may wake up late.
if not parts(stored) or is_before(stored, ARGV[2]) then
    redis.call('HSET', KEYS[2], 'position', ARGV[2])
end
local last, all_known = ARGV[2], true
for reader = 2, #KEYS do
    local position = redis.pcall('HGET', KEYS[reader], 'position')
    if type(position) ~= 'string' or not parts(position) then
        all_known = false
    elseif is_before(position, last) then
        last = position
    end
end
local moved = { err = 'not moved' }
if all_known then
    moved = redis.pcall('XGROUP', 'SETID', KEYS[1], ARGV[1], last)
end
if type(moved) == 'table' and moved.err then
    local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], last, 'MKSTREAM')
    if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
        return made
    end
end
-- Readers do not read through the group. Its consumer shows that it is in use; Redis before 6.2 cannot create one.
redis.pcall('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], ARGV[3])
return 'ok'
