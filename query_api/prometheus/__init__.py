"""Serve metrics of projects to Prometheus, computed from stored totals.

Counters are totals of the store, so restarts do not reset them. A correction that lowers a total
looks like a reset. The number of label values is limited; the rest is counted as ``other``.
"""
