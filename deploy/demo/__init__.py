"""`tracemill demo`: sends generated traces through the public HTTP API."""
