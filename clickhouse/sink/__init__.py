"""Insert rows from Kafka into ClickHouse.

Values on row topics are valid input of ``INSERT … FORMAT JSONEachRow``: the sink concatenates them
without decoding. Only records of the control-plane log are converted to rows (``control_log``).
Effects per batch, in order: 1. the store accepts the rows; 2. their offsets are committed. After a
crash in between the same rows are inserted again, which changes nothing, as tables are upserts.
"""
