-- The feed's stream: KEYS[1]; ARGV[1] is about how many entries it keeps, ARGV[2] a signed notice.
-- A stream that nothing can be added to any more (somebody gave it the last id there is, or made it another type) is of
-- no use to anybody: it is begun anew, which every node sees, and reads the durable log.
local function add()
    return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'n', ARGV[2])
end

local function publish()
    local added = add()
    if type(added) == 'table' and added.err then
        redis.call('DEL', KEYS[1])
        added = add()
    end
    return added
end
