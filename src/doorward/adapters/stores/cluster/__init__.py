"""One store of several nodes: a durable one for what must survive, and Redis for what they share of the moment.

Nothing is imported here: the plain install has no redis, and reads `told` all the same.
"""
