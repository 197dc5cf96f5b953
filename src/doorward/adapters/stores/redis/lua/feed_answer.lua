-- One worker's answer to a revocation: field ARGV[1] of KEYS[1]. All of them are kept for ARGV[3] seconds after the last.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
