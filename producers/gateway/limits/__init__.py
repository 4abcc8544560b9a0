"""Limits of what a project may send."""
