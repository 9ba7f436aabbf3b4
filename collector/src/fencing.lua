-- Checks a step against its fence. Prepended to every script that writes for an owner.
-- Returns nil if `number` is the step after the last one and `epoch` the newest; else
-- 'again' (this step is written already), 'taken' (a newer epoch exists) or 'gone' (the fence went
-- back: Redis lost data).
local function refusal(fence_key, epoch, number)
  local fence = redis.call('HMGET', fence_key, 'epoch', 'commit')
  if not fence[1] then return 'gone' end
  if fence[1] ~= epoch then
    if tonumber(fence[1]) < tonumber(epoch) then return 'gone' end
    return 'taken'
  end
  local last = tonumber(fence[2] or '0')
  if tonumber(number) == last then return 'again' end
  if tonumber(number) ~= last + 1 then return 'gone' end
  return nil
end

-- Arguments are lists, each preceded by its length. `take` returns the next argument, `take_some`
-- the next `count` of them; set `at` to the first.
local at = 1
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

