-- What was kept, KEYS[2] by its id ARGV[3], is durable now: every node is told its place.
redis.pcall('HDEL', KEYS[2], ARGV[3]) -- fails only where somebody has made it another type, and nothing is kept
return publish()
