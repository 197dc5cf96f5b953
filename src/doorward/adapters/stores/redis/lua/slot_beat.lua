-- Prolong a process's lease, and sweep some of what dead ones hold.
-- KEYS: live, the process's hash. ARGV: process, lease in seconds, now ("": ours).
-- Answers how many slots it holds; -1 where its lease had run out: then all may have been held up, and nobody is swept.
local process, now = ARGV[1], clock(ARGV[3])
local till = lease(process)
if not till or till < now then
    return -1
end
redis.call('ZADD', LIVE, string.format('%.17g', now + tonumber(ARGV[2])), process)
sweep_dead(now)
return redis.call('HLEN', KEYS[2])
