-- What is not durable yet is kept until it is, KEYS[2] by its id ARGV[3], and told to every node.
-- Where somebody has made KEYS[2] another type, what lay there is lost, and whoever knows it keeps it again.
local kept = redis.pcall('HSET', KEYS[2], ARGV[3], ARGV[2])
if type(kept) == 'table' and kept.err then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], ARGV[3], ARGV[2])
end
return publish()
