"""Find the traces of events without a trace id, and forward the events."""
