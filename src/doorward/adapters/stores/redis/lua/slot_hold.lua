-- Put back what a process holds, after the store may have lost it. It takes no place from anybody else.
-- KEYS: live, last, the process's hash. ARGV: process, lease in seconds, now ("": ours), then for each connection four:
-- itself, its identity's key, its address's, its place in the order.
local process, now = ARGV[1], clock(ARGV[3])
local till = lease(process)
if not till or till < now then
    until_then('calm', now + CALM)
    if redis.call('EXISTS', LIVE) == 0 then
        until_then('settle', now + SETTLE)
    end
end
redis.call('ZADD', LIVE, string.format('%.17g', now + tonumber(ARGV[2])), process)
local last = tonumber(redis.call('GET', LAST) or '0')
for at = 4, #ARGV, 4 do
    local connection, identity, address, place = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local member = process .. connection
    redis.call('HSET', KEYS[3], connection, identity .. ' ' .. address)
    redis.call('ZADD', BASE .. 'i:' .. identity, place, member)
    redis.call('ZADD', BASE .. 'a:' .. address, place, member)
    last = math.max(last, tonumber(place))
end
redis.call('SET', LAST, string.format('%.0f', last))
return redis.call('HLEN', KEYS[3])
