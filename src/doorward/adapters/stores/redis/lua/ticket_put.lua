-- Keep a ticket, and let the oldest live ones of its owner die beyond the most (TKT-07).
-- KEYS: the ticket's, its owner's list. ARGV: digest, life, sealed ticket, issued at, expires at, most, milliseconds to
-- keep it, what the keys of tickets begin with.
if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
end
local issued_at, most = tonumber(ARGV[4]), tonumber(ARGV[6])
local live = {}
for _, entry in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    local space = string.find(entry, ' ', 1, true)
    local key = ARGV[8] .. string.sub(entry, space + 1)
    local told = redis.call('HMGET', key, 'ticket', 'spent')
    if told[1] and not told[2] and tonumber(string.sub(entry, 1, space - 1)) > issued_at then
        live[#live + 1] = entry
    end
end
if tonumber(ARGV[5]) > issued_at then
    live[#live + 1] = ARGV[5] .. ' ' .. ARGV[1]
end
redis.call('HSET', KEYS[1], 'life', ARGV[2], 'ticket', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
for place = 1, #live - most do
    local space = string.find(live[place], ' ', 1, true)
    redis.call('DEL', ARGV[8] .. string.sub(live[place], space + 1))
end
redis.call('DEL', KEYS[2])
for place = math.max(1, #live - most + 1), #live do
    redis.call('RPUSH', KEYS[2], live[place])
end
if #live > 0 then
    redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
return 1
