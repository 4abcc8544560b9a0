"""`tracemill demo`: send generated traces to the public HTTP API."""
