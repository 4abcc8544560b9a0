"""Decide when events without a trace id are placed, and in which trace."""
