"""Which options a PostgreSQL URL may have: those that the installed libpq knows, asked of itself."""

from psycopg import pq


def known_options() -> frozenset[str]:
    """Their names. `ssl` is none of them: in a URL alone, `ssl=true` stands for sslmode=require."""
    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
