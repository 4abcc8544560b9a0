"""Insert rows from Kafka into ClickHouse.

Values on row topics are valid input of ``INSERT … FORMAT JSONEachRow``: the sink concatenates them
without decoding. Only records of the control-plane log are converted to rows (``control_log``).
For each batch, the store first accepts the rows, then their offsets are committed. After a crash
between these steps, the same rows are inserted again. This changes nothing, because a row replaces
earlier versions of itself.
"""
