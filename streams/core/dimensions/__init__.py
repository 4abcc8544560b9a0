"""Compute keys of windows and spend, with functions compiled from the registered dimensions."""
