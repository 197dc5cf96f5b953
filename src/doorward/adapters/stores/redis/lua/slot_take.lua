-- Take a slot under both limits in one step, the oldest giving way where that is asked for.
-- KEYS: live, last, the process's hash, the identity's set, the address's. ARGV: process, connection, the identity's
-- key, the address's, the most of each, replace ("1"), now ("": ours).
-- Answers {"gone"}: the process's lease has run out, so what it holds may be gone; {"settle"}: not now; {"identity"} or
-- {"address"}: full; or {place, replaced connections…}.
local process, connection, now = ARGV[1], ARGV[2], clock(ARGV[8])
local till = lease(process)
if not till or till < now then
    return { 'gone' }
end
if is_before('settle', now) then
    return { 'settle' }
end
free(process, connection)

local identity, address = KEYS[4], KEYS[5]
local replaced, is_replaced = {}, {}

local function replace(key, count)
    for _, member in ipairs(redis.call('ZRANGE', key, 0, count + #replaced - 1)) do
        if count > 0 and not is_replaced[member] then
            is_replaced[member] = true
            replaced[#replaced + 1] = member
            count = count - 1
        end
    end
end

-- How many must go from a set for one more to fit, those not counted that go anyway.
local function excess(key, most)
    local gone = 0
    for _, member in ipairs(replaced) do
        if redis.call('ZSCORE', key, member) then
            gone = gone + 1
        end
    end
    return redis.call('ZCARD', key) - gone - most + 1
end

for _, limit in ipairs({ { 'identity', identity, tonumber(ARGV[5]) }, { 'address', address, tonumber(ARGV[6]) } }) do
    local name, key, most = limit[1], limit[2], limit[3]
    local over = excess(key, most)
    if over > 0 then
        drop_dead(key, now)
        over = excess(key, most)
    end
    if over > 0 then
        if ARGV[7] ~= '1' or most <= 0 then
            return { name }
        end
        replace(key, over)
    end
end

local place = math.max(math.floor(now * 1000000), tonumber(redis.call('GET', LAST) or '0') + 1)
local answer = { string.format('%.0f', place) }
for _, member in ipairs(replaced) do
    local of, other = string.sub(member, 1, PROCESS), string.sub(member, PROCESS + 1)
    free(of, other)
    redis.call('ZREM', identity, member)
    redis.call('ZREM', address, member)
    answer[#answer + 1] = other
end
redis.call('SET', LAST, string.format('%.0f', place))
redis.call('HSET', KEYS[3], connection, ARGV[3] .. ' ' .. ARGV[4])
redis.call('ZADD', identity, string.format('%.0f', place), process .. connection)
redis.call('ZADD', address, string.format('%.0f', place), process .. connection)
return answer
