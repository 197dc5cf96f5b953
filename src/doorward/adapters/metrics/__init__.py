"""Prometheus metrics: labels come from the configuration and closed enumerations, never from a peer."""
