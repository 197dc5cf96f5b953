-- Connections of one worker that opened (field, row) and that closed.
-- KEYS: the worker's connections. ARGV: seconds to keep them, how many opened, then those, then the closed.
local opened = tonumber(ARGV[2])
for at = 3, 2 + 2 * opened, 2 do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
for at = 3 + 2 * opened, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[at])
end
return redis.call('EXPIRE', KEYS[1], ARGV[1])
