-- What was kept, KEYS[2] by its id ARGV[3], is durable now: every node is told its place.
redis.call('HDEL', KEYS[2], ARGV[3])
return publish()
