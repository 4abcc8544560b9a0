"""The sink: rows from Kafka into the store, byte for byte.

A value on a row topic already is what ``INSERT … FORMAT JSONEachRow`` takes, so the sink joins values and passes them on: it neither decodes nor builds rows.
Only the few records of the control-plane log are made into rows here (``control_log``).
Effects, in order, per batch: 1. the store accepted the rows; 2. their offsets are committed. A crash between the two inserts the same rows
again, and every table is an upsert, so nothing changes.
"""
