"""`tracemill recover`: goes on with a new or shortened log from what the store has."""
