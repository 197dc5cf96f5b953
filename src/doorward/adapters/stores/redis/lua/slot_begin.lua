-- Begin a life, or end it: what earlier processes of this name held comes free, a bounded piece at a time.
-- KEYS: live, the process's hash. ARGV: process, lease in seconds ("": it ends), now ("": ours).
-- Answers how many were freed now; it is asked again until that is 0.
local process, ends = ARGV[1], ARGV[2] == ''
local freed = 0
for _, other in ipairs(redis.call('ZRANGE', LIVE, 0, -1)) do
    local same_name = string.sub(other, 1, NAME) == string.sub(process, 1, NAME)
    if same_name and (ends == (other == process)) and freed < SWEPT_AT_ONCE then
        freed = freed + sweep(other, SWEPT_AT_ONCE - freed)
    end
end
if not ends then
    redis.call('ZADD', LIVE, string.format('%.17g', clock(ARGV[3]) + tonumber(ARGV[2])), process)
end
return freed
