"""`tracemill recover`: rebuild a lost or truncated log from the store."""
