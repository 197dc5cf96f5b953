"""Prometheus metrics: labels come from the configuration and closed enumerations, never from a peer."""

from doorward.adapters.metrics.meters import Meters
from doorward.adapters.metrics.node import Node

__all__ = ["Meters", "Node"]
