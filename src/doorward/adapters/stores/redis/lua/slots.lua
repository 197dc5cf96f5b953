-- What the scripts about slots share. All keys are of one hash tag; a connection is in three of them, or in none.
--   live        ZSET   process -> until when its lease runs (epoch seconds)
--   p:PROCESS   HASH   connection -> its identity's and its address's key
--   i:…, a:…    ZSET   member -> its place in the order, in microseconds; the oldest is the first
--   last        STRING the newest place given
--   calm        STRING until when nobody counts as dead: all were held up, and not all are back yet
--   settle      STRING until when no slot is given: everything was lost, and not all have put back what they hold
-- While the slot moves to another node of a cluster a script may stop at a key that is not declared, and is run again:
-- so what says that a slot is held, in p:, goes last.
-- A member is a process (32 characters, of which the first 16 name it in every life) and a connection.
local BASE, LIVE, LAST = 'doorward:{s}:', 'doorward:{s}:live', 'doorward:{s}:last'
local NAME, PROCESS = 16, 32
local SWEPT_AT_ONCE, LOOKED_AT = 1000, 200
local CALM, SETTLE = 5, 2.5 -- seconds; processes beat every 2, and probe once a second when the store was away

local function clock(given)
    local now = tonumber(given)
    if now then
        return now
    end
    local time = redis.call('TIME')
    return time[1] + time[2] / 1000000
end

-- Until when a process's lease runs, or nothing where it has none.
local function lease(process)
    local score = redis.call('ZSCORE', LIVE, process)
    return score and tonumber(score) or nil
end

local function is_before(name, now)
    return now < tonumber(redis.call('GET', BASE .. name) or '0')
end

local function until_then(name, at)
    redis.call('SET', BASE .. name, string.format('%.17g', at), 'PX', 60000)
end

local function free(process, connection)
    local held = redis.call('HGET', BASE .. 'p:' .. process, connection)
    if not held then
        return 0
    end
    local space = string.find(held, ' ', 1, true)
    local member = process .. connection
    redis.call('ZREM', BASE .. 'i:' .. string.sub(held, 1, space - 1), member)
    redis.call('ZREM', BASE .. 'a:' .. string.sub(held, space + 1), member)
    return redis.call('HDEL', BASE .. 'p:' .. process, connection)
end

-- Free what a process holds, up to so many; its lease goes with the last. How many.
local function sweep(process, most)
    local key, freed = BASE .. 'p:' .. process, 0
    local cursor = '0'
    repeat
        local page = redis.call('HSCAN', key, cursor, 'COUNT', 100)
        cursor = page[1]
        for place = 1, #page[2], 2 do
            freed = freed + free(process, page[2][place])
        end
    until cursor == '0' or freed >= most
    if redis.call('EXISTS', key) == 0 then
        redis.call('ZREM', LIVE, process)
    end
    return freed
end

-- Some of what dead processes hold: a bounded piece of work, and nothing of theirs stays for ever.
local function sweep_dead(now)
    if is_before('calm', now) then
        return
    end
    local left = SWEPT_AT_ONCE
    for _, process in ipairs(redis.call('ZRANGEBYSCORE', LIVE, '-inf', string.format('(%.17g', now), 'LIMIT', 0, 10)) do
        if left > 0 then
            left = left - sweep(process, left)
        end
    end
end

-- Drop the eldest members of a full set whose process is dead.
local function drop_dead(key, now)
    if is_before('calm', now) then
        return
    end
    local dead = {}
    for _, member in ipairs(redis.call('ZRANGE', key, 0, LOOKED_AT - 1)) do
        local process = string.sub(member, 1, PROCESS)
        if dead[process] == nil then
            local till = lease(process)
            dead[process] = not till or till < now
        end
        if dead[process] then
            free(process, string.sub(member, PROCESS + 1))
            redis.call('ZREM', key, member)
        end
    end
end
