"""Durable jobs: the runner of every kind, and the kinds."""
