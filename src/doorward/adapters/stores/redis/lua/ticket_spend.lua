-- Take a ticket in one step: of any number of racing calls one gets it, and it stays spent until it is forgotten.
-- KEYS: the ticket's. ARGV: life, now; now is "" for a look, which changes nothing.
-- A ticket of another life of the server is void: whether it was spent then may have been forgotten.
local told = redis.call('HMGET', KEYS[1], 'life', 'ticket', 'spent')
if not told[2] then
    return false
end
if told[1] ~= ARGV[1] then
    return { 'void' }
end
if told[3] then
    return { 'spent', told[2], told[3] }
end
if ARGV[2] ~= '' then
    redis.call('HSET', KEYS[1], 'spent', ARGV[2])
end
return { 'ticket', told[2] }
