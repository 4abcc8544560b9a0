"""`tracemill recover`: rebuilds a new or shortened log from what the store has."""
