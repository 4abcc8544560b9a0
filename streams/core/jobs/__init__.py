"""Durable jobs without I/O: their states, retries, and which of them may run."""
