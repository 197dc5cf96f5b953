"""The store in PostgreSQL. Nothing is imported here: the plain install has no psycopg, and reads `url` all the same."""
