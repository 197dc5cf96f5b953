"""One store of several nodes: a durable one for what must survive, and Redis for what they share of the moment."""

from doorward.adapters.stores.cluster.store import ClusterStore

__all__ = ["ClusterStore"]
