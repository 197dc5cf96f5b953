-- A worker says that it lives; an earlier life of the same name takes its connections along, and the long dead go.
-- KEYS: the heartbeats, the rows of workers, the worker's connections. ARGV: the worker's field, its row (JSON, begins
-- with when it started), when it beat, before when others are long dead, seconds to keep its connections.
-- Answers how many connections it has.
local before = redis.call('HGET', KEYS[2], ARGV[1])
if before then
    local was, is = cjson.decode(before)[1], cjson.decode(ARGV[2])[1]
    if was ~= is then
        local rows = redis.call('HGETALL', KEYS[3])
        for at = 1, #rows, 2 do
            if cjson.decode(rows[at + 1])[1] < is then
                redis.call('HDEL', KEYS[3], rows[at])
            end
        end
    end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[3], ARGV[5])
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[4], 'LIMIT', 0, 100)) do
    redis.call('HDEL', KEYS[2], dead)
    redis.call('ZREM', KEYS[1], dead)
end
return redis.call('HLEN', KEYS[3])
