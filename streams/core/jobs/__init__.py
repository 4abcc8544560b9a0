"""Durable jobs without I/O: their states, their retries, and the choice of those to run."""
