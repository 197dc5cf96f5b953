"""The embedded store: one SQLite file, written by one batching thread of each process."""

from doorward.adapters.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
