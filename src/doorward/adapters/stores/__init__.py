"""Stores behind the ports: each keeps the contract that its port's docstrings state, or raises StoreError."""
