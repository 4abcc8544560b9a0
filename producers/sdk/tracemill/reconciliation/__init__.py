"""Reconcile the usage that clients report into counts that do not overlap.

``roles`` reads names, ``dialects`` holds the documented meaning of each source, ``partition``
decides by arithmetic which counts include which.
"""

from tracemill.reconciliation.counts import Reconciled
from tracemill.reconciliation.dialects import Dialect
from tracemill.reconciliation.objects import reconcile_object
from tracemill.reconciliation.partition import reconcile

__all__ = ["Dialect", "Reconciled", "reconcile", "reconcile_object"]
