-- What is not durable yet is kept until it is, KEYS[2] by its id ARGV[3], and told to every node.
redis.call('HSET', KEYS[2], ARGV[3], ARGV[2])
return publish()
