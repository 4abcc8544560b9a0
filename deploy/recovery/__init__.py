"""`tracemill recover`: rebuilds a lost or shortened log from the store."""
