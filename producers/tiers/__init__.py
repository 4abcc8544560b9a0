"""Keep which users of a project have which tier, such as ``free`` or ``pro``.

Tiers are not control records: 200,000 of them would take 420 MB in every process there, and 25 MB
as they are kept here.
"""
