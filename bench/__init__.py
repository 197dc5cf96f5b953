"""The bench measures what the gateway costs beside its peers; it never judges a build by time.

`python -m bench` starts every process it measures, on loopback, and ends them; see README.md.
"""
